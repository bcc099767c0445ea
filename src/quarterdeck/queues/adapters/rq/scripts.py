"""What must happen in Redis in one step. The names of the keys are RQ's; see `keys`.

Ids are joined to keys inside the scripts, since the queue of a job is a field of its hash: in a
cluster the prefix must hold a hash tag, as it must for RQ itself.
"""

COUNT = """
local prefix, now, all = ARGV[1], tonumber(ARGV[2]), ARGV[3] == 'all'
local lead = prefix .. ':queue:'

local function ask(...)
  local answer = redis.pcall(...)
  if type(answer) ~= 'table' or not answer.err then return answer end
  return not string.find(answer.err, 'WRONGTYPE') and redis.call(...)
end

local names, seen = {}, {}
local function add(name)
  if not seen[name] then seen[name] = true; names[#names + 1] = name end
end
for each = 4, #ARGV do add(ARGV[each]) end
if all then
  for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    if string.sub(key, 1, #lead) == lead then add(string.sub(key, #lead + 1)) end
  end
end

local function begun(list)
  local count = 0
  for _, id in ipairs(ask('LRANGE', list, 0, 99) or {}) do
    local live = ask('ZCOUNT', prefix .. ':executions:' .. id, '(' .. now + 60, '+inf')
    if live == 0 then count = count + 1 end
  end
  return count
end

local function sized(kind, name)
  local key = prefix .. ':' .. kind .. ':' .. name
  return ask('ZCARD', key), ask('ZCOUNT', key, 0, now)
end

local rows = {redis.call('EXISTS', prefix .. ':suspended')}
for _, name in ipairs(names) do
  local list = lead .. name
  local since, first = '', ask('LINDEX', list, 0)
  if first then since = ask('HGET', prefix .. ':job:' .. first, 'enqueued_at') or '' end
  local active, lost = sized('wip', name)
  local failed, failed_out = sized('failed', name)
  local kept, kept_out = sized('finished', name)
  local scheduled = sized('scheduled', name)
  local overdue = ask('ZCOUNT', prefix .. ':scheduled:' .. name, 0, now - 60)
  rows[#rows + 1] = {
    name, redis.call('SISMEMBER', KEYS[1], list), since,
    ask('LLEN', list), begun(list .. ':intermediate'), scheduled, overdue,
    ask('ZCARD', prefix .. ':deferred:' .. name), ask('ZCARD', prefix .. ':ready:' .. name),
    active, lost, failed, failed_out, kept, kept_out
  }
end
return rows
"""
"""Counts of all registered queues and of those named, or of those named only. Changes nothing.

O(queues), whatever they hold: lengths, and ranks in sorted sets. Entries of a registry that are
past their time are counted apart, as RQ removes them only now and then. RQ gives an execution 60
seconds more than its sign of life, so one with less time than that has lost its worker.
"""

_CHANGE = """
local prefix, cutoff, cutoff_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])

local function failed_later(id, ended_at)
  if cutoff == '' then return false end
  if ended_at and ended_at ~= '' then return ended_at > cutoff end
  local last = redis.call('XREVRANGE', prefix .. ':results:' .. id, '+', '-', 'COUNT', 1)[1]
  return last ~= nil and tonumber(string.match(last[1], '^%d+')) > cutoff_ms
end
"""
# Jobs whose worker died have no `ended_at`; what RQ noted when it gave them up has a time.

RETRY = (
    _CHANGE
    + """local now, now_s = ARGV[4], tonumber(ARGV[5])

local function is_live(id, status)
  local live = '(' .. now_s + 60
  return status == 'queued'
    and redis.call('ZCOUNT', prefix .. ':executions:' .. id, live, '+inf') > 0
end

local function retry(id)
  local job = prefix .. ':job:' .. id
  local found = redis.call(
    'HMGET', job, 'status', 'origin', 'ended_at', 'ttl', 'rate_limit_key', 'data')
  local status, origin, ttl = found[1], found[2], tonumber(found[4] or '')
  if not status or not origin or not found[6] then return 'missing' end
  if is_live(id, status) then return 'started' end
  if status ~= 'failed' and status ~= 'stopped' then return status end
  if found[5] and found[5] ~= '' then return 'limited' end
  if failed_later(id, found[3]) then return 'later' end
  local failed, list = prefix .. ':failed:' .. origin, prefix .. ':queue:' .. origin
  if not redis.call('ZSCORE', failed, id) then return 'taken' end
  redis.call('SADD', KEYS[1], list)
  redis.call('RPUSH', list, id)
  redis.call('ZREM', failed, id)
  redis.call('HSET', job,
    'status', 'queued', 'enqueued_at', now, 'started_at', '', 'ended_at', '')
  redis.call('HDEL', job, 'exc_info', 'number_of_retries')
  for _, key in ipairs({job, job .. ':dependents', prefix .. ':job::' .. id .. ':dependencies'}) do
    redis.call('PERSIST', key)
  end
  if ttl and ttl > 0 then redis.call('EXPIRE', job, ttl) end
  return 'done'
end

local answers = {}
for each = 6, #ARGV do answers[#answers + 1] = retry(ARGV[each]) end
return answers
"""
)
"""Put failed jobs at the end of their queues. For each: `done`, or what forbids it.

The push comes first: a script that fails on the way is not undone, and only a push can fail. The
time that RQ keeps a failed job for must not end a job that waits, and the retries that a job asked
for by what it returned begin anew; RQ's own requeue leaves both.
"""

DELETE = (
    _CHANGE
    + """local now, only_failed = tonumber(ARGV[4]), ARGV[5] == 'failed'
local registries = {
  failed = 'failed', stopped = 'failed', finished = 'finished',
  scheduled = 'scheduled', deferred = 'deferred', ready_to_enqueue = 'ready'
}

local function is_needed(job)
  for _, id in ipairs(redis.call('SMEMBERS', job .. ':dependents')) do
    if redis.call('EXISTS', prefix .. ':job:' .. id) == 1 then return true end
  end
  return false
end

local function is_falling_due(id, origin)
  local due = redis.call('ZSCORE', prefix .. ':scheduled:' .. origin, id)
  return due and tonumber(due) <= now + 1
    and redis.call('EXISTS', prefix .. ':scheduler-lock:' .. origin) == 1
end

local function release(id, listed)
  local is_read, parents = pcall(cjson.decode, listed or '[]')
  if not is_read or type(parents) ~= 'table' then return end
  for _, parent in ipairs(parents) do
    redis.call('SREM', prefix .. ':job:' .. tostring(parent) .. ':dependents', id)
  end
end

local function delete(id)
  local job = prefix .. ':job:' .. id
  local found = redis.call('HMGET', job,
    'status', 'origin', 'ended_at', 'rate_limit_key', 'group_id', 'dependency_ids')
  local status, origin, group = found[1], found[2], found[5]
  if not status or not origin then return 'missing' end
  local registry = registries[status]
  if not registry and status ~= 'queued' then return status end
  if only_failed and registry ~= 'failed' then return status end
  if status == 'queued' and found[4] and found[4] ~= '' then return 'limited' end
  if only_failed and failed_later(id, found[3]) then return 'later' end
  if is_needed(job) then return 'needed' end
  if status == 'queued' then
    if redis.call('LREM', prefix .. ':queue:' .. origin, 0, id) == 0 then
      local live = redis.call('ZCOUNT', prefix .. ':executions:' .. id, '(' .. now + 60, '+inf')
      return live > 0 and 'started' or 'taken'
    end
  else
    if status == 'scheduled' and is_falling_due(id, origin) then return 'taken' end
    local removed = redis.call('ZREM', prefix .. ':' .. registry .. ':' .. origin, id)
    if removed == 0 and status ~= 'finished' then return 'taken' end
  end
  release(id, found[6])
  if group and group ~= '' then redis.call('SREM', prefix .. ':group:' .. group, id) end
  redis.call('DEL', job, job .. ':dependents',
    prefix .. ':job::' .. id .. ':dependencies', prefix .. ':results:' .. id)
  return 'done'
end

local answers = {}
for each = 6, #ARGV do answers[#answers + 1] = delete(ARGV[each]) end
return answers
"""
)
"""Remove jobs that do not run. For each: `done`, or what forbids it. O(queue) for one that waits.

A parent forgets the job: RQ's workers watch that set, so one that is about to start the job starts
over. RQ's scheduler does not watch, so what it may hold in its hands is left alone.
"""

SUSPEND = """
local is_new = redis.call('SETNX', KEYS[1], 1)
return math.max(is_new, redis.call('PERSIST', KEYS[1]))
"""
"""Suspend all workers for good, also where `rq suspend --duration` did so for a while.

Give: 1 if that changed something.
"""
