"""Lua: each script is one atomic step in the Redis where our index lies.

KEYS[1] is what our keys begin with. Times are texts, for Lua's numbers lose their microseconds.
"""

_COMMON = """
local own = KEYS[1]
local PHASES = {'waiting', 'active', 'scheduled', 'failed', 'completed'}
local function key_of(id) return own .. 'job:' .. id end
local function remove(id, queue)
  for _, phase in ipairs(PHASES) do redis.call('ZREM', own .. phase .. ':' .. queue, id) end
end
local function place(id, queue, phase, created)
  remove(id, queue)
  redis.call('SADD', own .. 'queues', queue)
  redis.call('ZADD', own .. phase .. ':' .. queue, created, id)
end
-- Failed tasks are bounded by themselves: what comes after them must not push them out.
local function remember(id, phase, now)
  local set, other = 'all', 'failures'
  if phase == 'failed' then set, other = other, set end
  redis.call('ZADD', own .. set, now, id)
  redis.call('ZREM', own .. other, id)
end
local function forget(id, queue)
  if queue then remove(id, queue) end
  redis.call('DEL', key_of(id))
  redis.call('ZREM', own .. 'all', id)
  redis.call('ZREM', own .. 'failures', id)
end
local function bury(id, queue, now)
  forget(id, queue)
  redis.call('ZADD', own .. 'gone', now, id)
  redis.call('ZREMRANGEBYSCORE', own .. 'gone', '-inf', tonumber(now) - 3600)
end
"""

RECORD = (
    _COMMON
    + """
-- ARGV: notes as JSON, now, how many jobs to keep.
local function count(queue, phase, at)
  local minute = math.floor(tonumber(at) / 60)
  local field = string.sub(phase, 1, 1) .. (minute % 60)
  local known = redis.call('HGET', own .. 'minutes:' .. queue, field)
  local n = 0
  if known then
    local of, number = string.match(known, '(%d+):(%d+)')
    if tonumber(of) > minute then return end
    if tonumber(of) == minute then n = tonumber(number) end
  end
  redis.call('HSET', own .. 'minutes:' .. queue, field, minute .. ':' .. (n + 1))
end
local function later(at, than) return not than or tonumber(at) > tonumber(than) end
local STARTS = {sent = true, active = true, scheduled = true}
for _, note in ipairs(cjson.decode(ARGV[1])) do
  local id, kind, at = note.id, note.kind, note.at
  -- Of one that was deleted nothing is told any more, unless it is sent again.
  local gone_at = redis.call('ZSCORE', own .. 'gone', id)
  if not gone_at or (STARTS[kind] and tonumber(at) > tonumber(gone_at)) then
    local key = key_of(id)
    local h = redis.call('HMGET', key, 'phase', 'queue', 'done_at', 'sent_at', 'worker',
                         'retries', 'active_at')
    local phase, queue, done_at, sent_at = h[1], h[2] or note.queue, h[3], h[4]
    -- Only the sender names the queue itself; others know what it was routed by.
    if kind == 'sent' then queue = note.queue or queue end
    local worker, retries, active_at = h[5], h[6], h[7]
    local target = nil
    if kind == 'sent' then
      if not sent_at then redis.call('HSET', key, 'sent_at', at); sent_at = at end
      local again = tonumber(note.fields.retries or 0) > tonumber(retries or 0)
      if not phase or (again and phase == 'active') then
        target = 'waiting'
        redis.call('HSET', key, 'waiting_at', at)
      else
        target = phase
        note.fields.retries = nil
      end
    elseif kind == 'active' or kind == 'scheduled' then
      if later(at, done_at) and (not active_at or tonumber(at) >= tonumber(active_at)) then
        target = kind
        redis.call('HSET', key, 'active_at', at)
      end
    elseif kind == 'failed' or kind == 'completed' then
      local ours = phase == 'active' and worker == note.fields.worker
      if later(at, done_at) and (note.is_result or ours) then
        target = kind
        redis.call('HSET', key, 'done_at', at)
        redis.call('HDEL', key, 'doubt')
        if queue then count(queue, kind, at) end
      elseif note.is_result and phase == kind and later(at, active_at) then
        -- Its event came first, which told less.
        target = kind
      end
    elseif kind == 'retrying' then
      if phase == 'active' and later(at, done_at) then
        target = 'waiting'
        redis.call('HSET', key, 'waiting_at', at)
      end
    elseif kind == 'revoked' then
      forget(id, queue)
    end
    if target then
      for name, value in pairs(note.fields) do redis.call('HSET', key, name, value) end
      redis.call('HSET', key, 'phase', target)
      remember(id, target, ARGV[2])
      if queue then
        redis.call('HSET', key, 'queue', queue)
        place(id, queue, target, sent_at or at)
      end
    end
  end
end
for _, set in ipairs({'all', 'failures'}) do
  local over = redis.call('ZCARD', own .. set) - tonumber(ARGV[3])
  if over > 0 then
    local oldest = redis.call('ZRANGE', own .. set, 0, math.min(over, 1000) - 1)
    for _, id in ipairs(oldest) do forget(id, redis.call('HGET', key_of(id), 'queue')) end
  end
end
"""
)

RETRY = (
    _COMMON
    + """
-- KEYS[2]: the list. ARGV: id, the done_at that was seen, message, now. Gives 1 when it was so.
local h = redis.call('HMGET', key_of(ARGV[1]), 'phase', 'queue', 'done_at', 'sent_at')
if h[1] ~= 'failed' or h[3] ~= ARGV[2] then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[3])
place(ARGV[1], h[2], 'waiting', h[4] or ARGV[4])
remember(ARGV[1], 'waiting', ARGV[4])
redis.call('HSET', key_of(ARGV[1]), 'phase', 'waiting', 'retries', 0, 'waiting_at', ARGV[4])
return 1
"""
)

CLAIM = (
    _COMMON
    + """
-- ARGV: id, the done_at that was seen, now. Gives 1 when it was so: nobody else sends it.
local h = redis.call('HMGET', key_of(ARGV[1]), 'phase', 'queue', 'done_at', 'sent_at')
if h[1] ~= 'failed' or h[3] ~= ARGV[2] then return 0 end
place(ARGV[1], h[2], 'waiting', h[4] or ARGV[3])
remember(ARGV[1], 'waiting', ARGV[3])
redis.call('HSET', key_of(ARGV[1]), 'phase', 'waiting', 'waiting_at', ARGV[3], 'claim', ARGV[3])
redis.call('HDEL', key_of(ARGV[1]), 'doubt')
redis.call('ZADD', own .. 'claims', ARGV[3], ARGV[1])
return 1
"""
)

_RETURN = """
local function give_back(id, h)
  redis.call('HSET', key_of(id), 'phase', 'failed')
  place(id, h[2], 'failed', h[4] or h[3])
  remember(id, 'failed', h[3])
end
"""

SETTLE = (
    _COMMON
    + _RETURN
    + """
-- ARGV: id, the claim, what came of it: sent or failed. A worker may have begun it already.
local h = redis.call('HMGET', key_of(ARGV[1]), 'phase', 'queue', 'claim', 'sent_at')
if h[3] ~= ARGV[2] then return end
redis.call('HDEL', key_of(ARGV[1]), 'claim')
redis.call('ZREM', own .. 'claims', ARGV[1])
if h[1] ~= 'waiting' then return end
if ARGV[3] == 'sent' then redis.call('HSET', key_of(ARGV[1]), 'retries', 0)
else give_back(ARGV[1], h) end
"""
)

DOUBT = (
    _COMMON
    + _RETURN
    + """
-- ARGV: claims from before this time have come to nothing, or nobody knows to what.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', own .. 'claims', '-inf', ARGV[1],
                               'LIMIT', 0, 1000)) do
  local h = redis.call('HMGET', key_of(id), 'phase', 'queue', 'claim', 'sent_at')
  redis.call('ZREM', own .. 'claims', id)
  redis.call('HDEL', key_of(id), 'claim')
  if h[1] == 'waiting' and h[3] then
    give_back(id, h)
    redis.call('HSET', key_of(id), 'doubt', 1)
  end
end
"""
)

BURY = (
    _COMMON
    + """
-- ARGV: id, the phase and done_at that were seen, now. Gives 1 when it was so.
local h = redis.call('HMGET', key_of(ARGV[1]), 'phase', 'queue', 'done_at')
if h[1] ~= ARGV[2] or (h[3] or '') ~= ARGV[3] then return 0 end
bury(ARGV[1], h[2], ARGV[4])
return 1
"""
)

LOSE = (
    _COMMON
    + """
-- ARGV: id, the phase and active_at (or nothing) that were seen. Should it live after all, its
-- next event brings it back.
local h = redis.call('HMGET', key_of(ARGV[1]), 'phase', 'queue', 'active_at')
if h[1] == ARGV[2] and (h[3] or '') == ARGV[3] then forget(ARGV[1], h[2]) end
"""
)

TAKE = (
    _COMMON
    + """
-- KEYS[2]: the list. ARGV: id, the exact message, queue, now. Gives 1 when it was there.
if redis.call('LREM', KEYS[2], 1, ARGV[2]) == 0 then return 0 end
bury(ARGV[1], ARGV[3], ARGV[4])
return 1
"""
)

FIND = """
-- KEYS[2]: a list. ARGV: text, first and last place, hash of a whole entry or nothing. Gives how
-- many were read, and the matches.
local found = {}
local entries = redis.call('LRANGE', KEYS[2], ARGV[2], ARGV[3])
local function matches(entry)
  if ARGV[4] ~= '' then return redis.sha1hex(entry) == ARGV[4] end
  return string.find(entry, ARGV[1], 1, true)
end
for _, entry in ipairs(entries) do
  if matches(entry) then table.insert(found, entry) end
end
return {#entries, found}
"""

COUNT = """
-- KEYS: what our keys begin with, the queue's lists. ARGV: queue.
local own, queue = KEYS[1], ARGV[1]
local waiting, oldest = 0, false
local function look(id)
  local since = id and redis.call('HGET', own .. 'job:' .. id, 'waiting_at')
  if since and (not oldest or tonumber(since) < tonumber(oldest)) then oldest = since end
end
for i = 2, #KEYS do
  waiting = waiting + redis.call('LLEN', KEYS[i])
  local last = redis.call('LINDEX', KEYS[i], -1)
  look(last and string.match(last, '"id": ?"([^"]+)"'))
end
-- Without lists, those that we were told of.
if #KEYS == 1 then look(redis.call('ZRANGE', own .. 'waiting:' .. queue, 0, 0)[1]) end
local n = {}
for i, phase in ipairs({'waiting', 'active', 'scheduled', 'failed', 'completed'}) do
  n[i] = redis.call('ZCARD', own .. phase .. ':' .. queue)
end
return {waiting, oldest, n, redis.call('HEXISTS', own .. 'paused', queue),
  redis.call('HGETALL', own .. 'minutes:' .. queue)}
"""
