"""What all scripts for Redis begin with. Written for these purposes; none of it is BullMQ's.

`KEYS[1]` is always a queue's `meta` key: all other keys of the queue share its beginning, and its
slot in a cluster. What is known of the layout (BullMQ 5.81 and 6.7):

- Lists `wait`, `paused`, `active`: new jobs enter at the head, workers take from the tail.
- Sorted sets: `prioritized` (priority * 2^32 + counter `pc`), `delayed` (due time in ms * 4096),
  `completed` and `failed` (end in ms), `waiting-children`.
- `marker`: a sorted set that idle workers block on: member `0` is "there is work", member `1` has
  the time of the next delayed job as its score.
- A paused queue has `meta.paused`. Version 5 also renames `wait` to `paused`, sends new jobs there,
  and on resume renames it back *over* `wait`. Version 6 leaves jobs in `wait` and on resume
  merges a `paused` list. So jobs in both lists are lost by version 5, and nothing here puts any
  job into either list of a paused queue.
"""

PRELUDE = """
local meta = KEYS[1]
local p = string.sub(meta, 1, -5)
"""

STATE = """
local REACH = 50000
local function in_list(name, id)
  local key = p .. name
  if redis.call('LPOS', key, id, 'RANK', -1, 'MAXLEN', REACH) then return 1 end
  if redis.call('LPOS', key, id, 'MAXLEN', REACH) then return 1 end
  if redis.call('LLEN', key) > 2 * REACH then return 0 end
  return nil
end
local function state_of(id)
  for _, name in ipairs({'completed', 'failed', 'delayed', 'prioritized', 'waiting-children'}) do
    local score = redis.call('ZSCORE', p .. name, id)
    if score then return name, score end
  end
  if redis.call('LPOS', p .. 'active', id) then return 'active', '' end
  local at_wait, at_paused = in_list('wait', id), in_list('paused', id)
  if at_wait == 1 then return 'wait', '' end
  if at_paused == 1 then return 'paused', '' end
  if at_wait or at_paused then return 'wait', '' end
  return 'none', ''
end
"""
"""A list longer than twice REACH is searched at both ends only: what is in no other place and not
there is taken to be in its middle. 50,000 entries take about a millisecond."""

GATE = """
local version = redis.call('HGET', meta, 'version')
local function major(assumed)
  if not version then return tonumber(assumed) end
  local number = tonumber(string.match(version, '^bullmq:(%d+)%.'))
  if number == 5 or number == 6 then return number end
  return nil
end
local function emit(...)
  local most = redis.call('HGET', meta, 'opts.maxLenEvents') or '10000'
  redis.call('XADD', p .. 'events', 'MAXLEN', '~', most, '*', ...)
end
local function wake()
  if redis.call('LLEN', p .. 'wait') > 0 or redis.call('ZCARD', p .. 'prioritized') > 0 then
    redis.call('ZADD', p .. 'marker', 0, '0')
    return
  end
  local first = redis.call('ZRANGE', p .. 'delayed', 0, 0, 'WITHSCORES')
  if first[2] then redis.call('ZADD', p .. 'marker', tonumber(first[2]) / 4096, '1') end
end
"""
