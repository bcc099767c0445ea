"""What is changed in Redis in one step, see `script_parts` for the layout.

The first write of each script frees memory. Redis refuses one that takes some when it is full, but
nothing after that: so a full Redis can be paused and tidied, and no script is done by half.
"""

from quarterdeck.queues.adapters.bullmq.script_parts import GATE, PRELUDE, STATE

RETRY = (
    PRELUDE
    + STATE
    + GATE
    + """
if version and not major() then return {'version', version} end
local now = tonumber(ARGV[1])
local paused = redis.call('HEXISTS', meta, 'paused') == 1
local function enqueue(id, key)
  local attributes = redis.call('HMGET', key, 'priority', 'opts')
  local priority = tonumber(attributes[1]) or 0
  if priority > 0 then
    local turn = redis.call('INCR', p .. 'pc') % 4294967296
    redis.call('ZADD', p .. 'prioritized', priority * 4294967296 + turn, id)
  elseif paused then
    redis.call('ZADD', p .. 'delayed', now * 4096, id)
  else
    local fine, opts = pcall(cjson.decode, attributes[2] or '{}')
    local last_first = fine and type(opts) == 'table' and opts.lifo == true
    redis.call(last_first and 'RPUSH' or 'LPUSH', p .. 'wait', id)
  end
end
local function waiting_parent(key)
  local found = redis.call('HMGET', key, 'parentKey', 'parent')
  local parent = found[1]
  if not parent or parent == '' then return nil end
  local fine, about = pcall(cjson.decode, found[2] or '{}')
  local id = fine and type(about) == 'table' and about.id or string.match(parent, '[^:]*$')
  local queue = string.sub(parent, 1, -1 - #tostring(id))
  for _, place in ipairs({'waiting-children', 'failed'}) do
    local score = redis.pcall('ZSCORE', queue .. place, id)
    if type(score) == 'table' then return 'elsewhere' end
    if score then return parent end
  end
  return nil
end
local function retry(id, seen)
  local key = p .. id
  local score = redis.call('ZSCORE', p .. 'failed', id)
  if not score then
    if redis.call('EXISTS', key) == 0 then return 'gone' end
    return (state_of(id))
  end
  if tonumber(score) ~= tonumber(seen) then return 'changed' end
  if redis.call('TYPE', key).ok ~= 'hash' then return 'gone' end
  local parent = waiting_parent(key)
  if parent == 'elsewhere' then return parent end
  redis.call('ZREM', p .. 'failed', id)
  redis.call('HDEL', key, 'finishedOn', 'processedOn', 'failedReason',
    'atm', 'attemptsMade', 'ats', 'stc')
  if parent then
    local left = redis.call('ZREM', parent .. ':unsuccessful', key)
    left = left + redis.call('HDEL', parent .. ':failed', key)
    if left > 0 then redis.call('SADD', parent .. ':dependencies', key) end
  end
  enqueue(id, key)
  emit('event', 'waiting', 'jobId', id, 'prev', 'failed')
  return 'ok'
end
local out = {}
for at = 2, #ARGV, 2 do out[#out + 1] = retry(ARGV[at], ARGV[at + 1]) end
if not paused then wake() end
return out
"""
)
"""ARGV: now in ms, then pairs of an id and the end of its failure in ms, as it was seen. Give, for
each: `ok`, `changed` (it failed once more), `gone`, `elsewhere` (its parent is on another node) or
the state it is in; or `version` and the one that is not known.

A parent that still waits for its children, or has failed, waits for a retried child again. One that
went on without it is left alone: an outstanding child would keep it from being completed.

In a paused queue a retried job is made due in `delayed`: whichever version's worker looks there
first moves it to the list that its version resumes."""

DELETE = (
    PRELUDE
    + STATE
    + GATE
    + """
if version and not major() then return {'version', version} end
local SETS = {completed = 1, failed = 1, delayed = 1, prioritized = 1, ['waiting-children'] = 1}
local function remove(id, seen)
  local key = p .. id
  local kind = redis.call('TYPE', key).ok
  local state, score = state_of(id)
  if kind ~= 'hash' and (seen == '' or kind ~= 'none') then return 'gone' end
  if seen ~= '' and (state ~= 'failed' or tonumber(score) ~= tonumber(seen)) then
    return 'changed'
  end
  local job = redis.call('HMGET', key, 'timestamp', 'parentKey', 'rjk', 'deid')
  if kind == 'none' then
    redis.call('ZREM', p .. 'failed', id)
    return 'ok'
  end
  if state == 'none' and not job[1] then return 'gone' end
  if state == 'active' then return 'active' end
  if job[3] then
    local next_at = redis.call('ZSCORE', p .. 'repeat', job[3])
    if next_at and id == 'repeat:' .. job[3] .. ':' .. next_at then return 'scheduler' end
  end
  if redis.call('EXISTS', key .. ':dependencies') == 1 then return 'parent' end
  if job[2] and job[2] ~= '' then
    if redis.pcall('SISMEMBER', job[2] .. ':dependencies', key) ~= 0 then return 'child' end
  end
  if SETS[state] then redis.call('ZREM', p .. state, id)
  elseif redis.call('LREM', p .. 'wait', 1, id) == 0 then
    redis.call('LREM', p .. 'paused', 1, id)
  end
  if job[4] and redis.call('GET', p .. 'de:' .. job[4]) == id then
    redis.call('DEL', p .. 'de:' .. job[4], p .. 'dn:' .. job[4])
  end
  redis.call('DEL', key, key .. ':logs', key .. ':processed', key .. ':failed',
    key .. ':unsuccessful', key .. ':lock')
  emit('event', 'removed', 'jobId', id, 'prev', state)
  return 'ok'
end
local out = {}
for at = 1, #ARGV, 2 do out[#out + 1] = remove(ARGV[at], ARGV[at + 1]) end
return out
"""
)
"""ARGV: pairs of an id and the end of its failure in ms as it was seen, or nothing for any state.
Give, for each: `ok`, `gone`, `changed`, `active`, `scheduler`, `parent` (children are outstanding),
`child` (a parent waits for it); or `version` and the one that is not known. O(length of the list)
for a job that waits in one."""

PAUSE = (
    PRELUDE
    + GATE
    + """
if redis.call('EXISTS', meta) == 0 then return {'gone', ''} end
local number = major(ARGV[1])
if not number then return {'version', version or ''} end
redis.call('DEL', p .. 'marker')
local news = redis.call('HSET', meta, 'paused', 1)
if news == 1 then emit('event', 'paused') end
local from, to, take, put = p .. 'wait', p .. 'paused', 'RIGHT', 'LEFT'
if number == 6 then from, to, take, put = to, from, 'LEFT', 'RIGHT' end
if redis.call('EXISTS', to) == 0 then
  if redis.call('EXISTS', from) == 1 then redis.call('RENAME', from, to) end
else
  for _ = 1, tonumber(ARGV[2]) do
    if not redis.call('LMOVE', from, to, take, put) then break end
  end
end
return {news, redis.call('LLEN', from)}
"""
)
"""ARGV: the major version to assume where none is noted (or nothing), how many jobs to move at
most. Gather all waiting jobs in the one list that this version resumes. Give: whether it was not
paused before, and how many jobs are left to move; or `gone`; or `version` and the unknown one."""

RESUME = (
    PRELUDE
    + GATE
    + """
if redis.call('EXISTS', meta) == 0 then return {'gone', ''} end
if version and not major() then return {'version', version} end
local wait, aside = p .. 'wait', p .. 'paused'
local was_paused = redis.call('HEXISTS', meta, 'paused') == 1
redis.call('DEL', p .. 'marker')
if redis.call('EXISTS', wait) == 0 then
  if redis.call('EXISTS', aside) == 1 then redis.call('RENAME', aside, wait) end
else
  for _ = 1, tonumber(ARGV[1]) do
    if not redis.call('LMOVE', aside, wait, 'LEFT', 'RIGHT') then break end
  end
end
local left = redis.call('LLEN', aside)
local is_done = left == 0
if is_done and redis.call('HDEL', meta, 'paused') == 1 then emit('event', 'resumed') end
if is_done or not was_paused then wake() end
return {is_done and was_paused and 1 or 0, left}
"""
)
"""ARGV: how many jobs to move at most. Merge `paused` into `wait`, to be taken first and in their
order; only when nothing is left there is the queue resumed. Give: whether it was paused before and
is not now, and how many jobs are left to move; or as PAUSE does."""
