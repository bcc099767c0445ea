"""What is read in Redis in one step, see `script_parts` for the layout. Nothing is changed."""

from quarterdeck.queues.adapters.bullmq.script_parts import PRELUDE, STATE

COUNT = """
local now = tonumber(ARGV[1])
local p
local ask = redis.pcall
local function is_answer(found, command)
  local refused = type(found) == 'table' and found.err
  if refused and (string.find(refused, 'user executing') or string.find(refused, 'NOPERM')) then
    error(command .. ' is refused: ' .. refused)
  end
  return not refused
end
local function number(command, ...)
  local found = ask(command, ...)
  if type(found) == 'number' then return found end
  is_answer(found, command)
  return -1
end
local function list(command, ...)
  local found = ask(command, ...)
  return is_answer(found, command) and type(found) == 'table' and found or {}
end
local function sane(value)
  local found = tonumber(value)
  return found and found >= 0 and found < 253402300800000 and found or nil
end
local function runnable_since(id)
  local job = list('HMGET', p .. id, 'timestamp', 'processedOn', 'stacktrace', 'opts')
  local at = sane(job[1])
  if not at then return nil end
  if sane(job[2]) then return sane(job[2]) end
  if job[3] and job[3] ~= '[]' then return nil end
  local fine, opts = pcall(cjson.decode, job[4] or '{}')
  local delay = fine and type(opts) == 'table' and tonumber(opts.delay) or 0
  return sane(at + delay)
end
local function oldest(out)
  local found
  local function consider(at)
    if at and (not found or at < found) then found = at end
  end
  local function consider_last(name)
    local last = list('LRANGE', p .. name, -1, -1)[1]
    if last then consider(runnable_since(last)) end
  end
  if out.wait > 0 then consider_last('wait') end
  if out.aside > 0 then consider_last('paused') end
  if out.prioritized > 0 then
    local first = list('ZRANGE', p .. 'prioritized', 0, 0)[1]
    if first then consider(runnable_since(first)) end
  end
  if out.delayed > 0 then
    local due = tonumber(list('ZRANGE', p .. 'delayed', 0, 0, 'WITHSCORES')[2])
    if due and due / 4096 <= now then consider(sane(math.floor(due / 4096))) end
  end
  return found
end
local function since(milliseconds, key, of)
  if of < 1 then return of end
  return number('ZCOUNT', key, now - milliseconds, '+inf')
end
local function counted(meta)
  p = string.sub(meta, 1, -5)
  local head = list('HMGET', meta, 'paused', 'version')
  local ids = ask('GET', p .. 'id')
  local completed, failed = p .. 'completed', p .. 'failed'
  is_answer(ids, 'GET')
  local out = {
    exists = head[2] and 1 or number('EXISTS', meta),
    paused = head[1] and true or false,
    version = head[2] or '',
    ids = type(ids) == 'string' and #ids < 14 and tonumber(string.match(ids, '^%d+$')) or -1,
    wait = number('LLEN', p .. 'wait'),
    aside = number('LLEN', p .. 'paused'),
    active = number('LLEN', p .. 'active'),
    prioritized = number('ZCARD', p .. 'prioritized'),
    delayed = number('ZCARD', p .. 'delayed'),
    children = number('ZCARD', p .. 'waiting-children'),
    failed = number('ZCARD', failed),
    completed = number('ZCARD', completed),
  }
  out.oldest = oldest(out)
  out.completed_hour = since(3600000, completed, out.completed)
  out.completed_minute = since(60000, completed, out.completed_hour)
  out.failed_minute = since(60000, failed, out.failed)
  local metrics = list('HMGET', p .. 'metrics:completed', 'count', 'prevTS', 'prevCount')
  if metrics[1] then
    out.metrics = {metrics[1], metrics[2] or '', metrics[3] or ''}
    out.points = table.concat(list('LRANGE', p .. 'metrics:completed:data', 0, 59), ' ')
  end
  return out
end
local all = {}
for place, meta in ipairs(KEYS) do all[place] = counted(meta) end
return cjson.encode(all)
"""
"""KEYS: of many queues, if they are in one slot. ARGV: now in ms. Give: everything that is counted
of each, as one JSON text. Every command is O(1), O(log n) or of at most 60 elements. A key of a
foreign type counts as -1; one that may not be read is an error; times beyond year 9999 are none.
What an empty key cannot tell is not asked for: this script is most of what `GET /queues` takes."""

HEADS = (
    PRELUDE
    + """
local most = tonumber(ARGV[1])
local out = {}
for at = 2, #ARGV do
  local name = ARGV[at]
  local key = p .. name
  local is_list = name == 'wait' or name == 'paused' or name == 'active'
  local ids = {}
  if most > 0 then
    if is_list then ids = redis.call('LRANGE', key, 0, most - 1)
    else ids = redis.call('ZRANGE', key, 0, most - 1, 'REV') end
  end
  local created = {}
  for place, id in ipairs(ids) do
    local at = redis.pcall('HGET', p .. id, 'timestamp')
    created[place] = type(at) == 'string' and at or '0'
  end
  out[#out + 1] = is_list and redis.call('LLEN', key) or redis.call('ZCARD', key)
  out[#out + 1] = created
end
return out
"""
)
"""ARGV: how many, names of lists and sorted sets. Give, of each: its length, and when the newest of
its jobs were created. Changes nothing."""

LOOK = (
    PRELUDE
    + STATE
    + """
local id = ARGV[1]
if redis.call('TYPE', p .. id).ok ~= 'hash' then return false end
local state, score = state_of(id)
if state == 'none' and redis.call('HEXISTS', p .. id, 'timestamp') == 0 then return false end
return {state, score, redis.call('HMGET', p .. id, unpack(ARGV, 2))}
"""
)
"""ARGV: id, names of fields. Give: the job's state, its score there, its fields; nil: none such."""
