"""What must happen in Redis in one step. The names of the keys are Sidekiq's; see `keys`.

The keys of workers are joined inside the scripts, as their names stand in a set. Sidekiq itself
runs on no cluster, so all of its keys are in one place.
"""

_ASK = """
local function ask(...)
  local answer = redis.pcall(...)
  if type(answer) ~= 'table' or not answer.err then return answer end
  return not string.find(answer.err, 'WRONGTYPE') and redis.call(...)
end
"""
# False where something of another type lies under the key.

_RUNNING = """
local function running()
  local found = {}
  for _, process in ipairs(ask('SMEMBERS', prefix .. 'processes') or {}) do
    for _, suffix in ipairs({':work', ':workers'}) do
      for _, work in ipairs(ask('HVALS', prefix .. process .. suffix) or {}) do
        found[#found + 1] = work
      end
    end
  end
  return found
end
"""
# O(threads). Sidekiq 6 calls `:workers` what later versions call `:work`.

_QUEUE_OF = """
local function queue_of(text)
  local queue = string.match(text, '^{"retry":%w+,"queue":"([^"\\\\]*)"')
    or string.match(text, '^{"queue":"([^"\\\\]*)"')
  if queue then return queue end
  local is_read, job = pcall(cjson.decode, text)
  return is_read and type(job) == 'table' and type(job.queue) == 'string' and job.queue
end
"""
# Sidekiq's own clients write the queue second, which spares reading the rest of the job.

_TALLY = """
local function tally(scored)
  local rows, place = {}, {}
  for each = 1, #scored, 2 do
    local queue, score = queue_of(scored[each]), scored[each + 1]
    if queue and not place[queue] then
      rows[#rows + 1] = {queue, 1, score}
      place[queue] = #rows
    elseif queue then
      local row = rows[place[queue]]
      row[2] = row[2] + 1
      if tonumber(score) < tonumber(row[3]) then row[3] = score end
    end
  end
  return rows
end
"""

COUNT = (
    """
local prefix, most, all = ARGV[1], tonumber(ARGV[2]), ARGV[3] == 'all'
"""
    + _ASK
    + _RUNNING
    + _QUEUE_OF
    + _TALLY
    + """
local names, seen = {}, {}
local function add(name)
  if not seen[name] then seen[name] = true; names[#names + 1] = name end
end
for each = 4, #ARGV do add(ARGV[each]) end
if all then
  for _, name in ipairs(ask('SMEMBERS', KEYS[1]) or {}) do add(name) end
end

local sets = {}
for _, set in ipairs({'dead', 'retry', 'schedule'}) do
  local size, rows = ask('ZCARD', prefix .. set), {}
  if size and size > 0 and size <= most then
    rows = tally(redis.call('ZRANGE', prefix .. set, 0, -1, 'WITHSCORES'))
    if all then for _, row in ipairs(rows) do add(row[1]) end end
  end
  sets[#sets + 1] = {size, rows}
end

local active = {}
for _, work in ipairs(running()) do
  local queue = queue_of(work)
  if queue then
    active[queue] = (active[queue] or 0) + 1
    if all then add(queue) end
  end
end

local rows = {}
for _, name in ipairs(names) do
  local list = prefix .. 'queue:' .. name
  rows[#rows + 1] = {
    name, ask('SISMEMBER', KEYS[1], name), ask('SISMEMBER', prefix .. 'paused', name),
    ask('LLEN', list), ask('LINDEX', list, -1), active[name] or 0
  }
end
return {sets, rows}
"""
)
"""Counts of all queues that are known, or of those named only. Changes nothing.

Sorted sets that hold more than so many jobs are not looked through; their size is given. For the
others, per queue: its name, how many jobs, and the lowest score.
"""

TALLY = (
    _ASK
    + _QUEUE_OF
    + _TALLY
    + """
local answer = ask('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
if not answer then return {'0', {}} end
return {answer[1], tally(answer[2])}
"""
)
"""The same of about so many jobs of a sorted set, from a cursor on: the next one, and the rows."""

READ = (
    """
local prefix, queue, look, sorted = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
"""
    + _ASK
    + _QUEUE_OF
    + """
local function listed()
  local list = prefix .. 'queue:' .. queue
  local length = ask('LLEN', list) or 0
  return {length, length > 0 and length <= sorted and ask('LRANGE', list, 0, -1) or {}}
end

local function held(set)
  local scored, own = ask('ZREVRANGE', prefix .. set, 0, look - 1, 'WITHSCORES') or {}, {}
  for at = 1, #scored, 2 do
    if queue_of(scored[at]) == queue then own[#own + 1] = {scored[at], scored[at + 1]} end
  end
  return {ask('ZCARD', prefix .. set) or 0, own}
end

local answers = {}
for each = 5, #ARGV do
  answers[#answers + 1] = ARGV[each] == 'queue' and listed() or held(ARGV[each])
end
return answers
"""
)
"""What lies in some places: their size, and what of it is of this queue.

Of a sorted set the last ones, at about 2 µs each; of the list everything, if it is short.
"""

WORK = (
    """
local prefix = ARGV[1]
"""
    + _ASK
    + _RUNNING
    + """
return running()
"""
)
"""What all workers say that they run."""

LOCATE = (
    """
local prefix, queue, id = ARGV[1], ARGV[2], ARGV[3]
local count, start = tonumber(ARGV[4]), tonumber(ARGV[5])
"""
    + _ASK
    + _RUNNING
    + """
local found, cursors, quoted = {}, {}, '"' .. id .. '"'
for each, set in ipairs({'dead', 'retry', 'schedule'}) do
  local cursor = ARGV[5 + each]
  if cursor ~= '' then
    local answer = ask('ZSCAN', prefix .. set, cursor, 'COUNT', count) or {'0', {}}
    cursor = answer[1] ~= '0' and answer[1] or ''
    for at = 1, #answer[2], 2 do
      local text = answer[2][at]
      if string.find(text, quoted, 1, true) then
        found[#found + 1] = {set, text, answer[2][at + 1]}
      end
    end
  end
  cursors[each] = cursor
end

local next_start = -1
if start >= 0 then
  local chunk = ask('LRANGE', prefix .. 'queue:' .. queue, start, start + count - 1) or {}
  for _, text in ipairs(chunk) do
    if string.find(text, quoted, 1, true) then found[#found + 1] = {'queue', text, ''} end
  end
  if #chunk == count then next_start = start + count end
end
if start == 0 then
  for _, work in ipairs(running()) do
    if string.find(work, id, 1, true) then found[#found + 1] = {'work', work, ''} end
  end
end
return {next_start, cursors, found}
"""
)
"""Where something with this id may be, in a stretch of the list and of each sorted set.

Small queues and sets are searched in one step, so that no job that moves between them is missed.
"""

RETRY = """
local prefix, queue = ARGV[1], ARGV[2]
local dead, list = prefix .. 'dead', prefix .. 'queue:' .. queue
local done = 0
for each = 3, #ARGV, 2 do
  if redis.call('ZSCORE', dead, ARGV[each]) then
    redis.call('LPUSH', list, ARGV[each + 1])
    redis.call('SADD', KEYS[1], queue)
    redis.call('ZREM', dead, ARGV[each])
    done = done + 1
  end
end
return done
"""
"""Put dead jobs into their queue, each given as it is and as it shall be. Gives how many.

The push comes first: a script that fails on the way is not undone, and only a push can fail.
"""

DELETE = """
local prefix, place, queue, done = ARGV[1], ARGV[2], ARGV[3], 0
for each = 4, #ARGV do
  if place == 'queue' then
    done = done + redis.call('LREM', prefix .. 'queue:' .. queue, 1, ARGV[each])
  else
    done = done + redis.call('ZREM', prefix .. place, ARGV[each])
  end
end
return done
"""
"""Remove exactly these jobs from a queue or a sorted set. Gives how many were still there."""
