"""What must happen in Redis in one step. Each script may be run twice without harm.

Producers LPUSH and workers BRPOP, so the oldest entry of a list is its tail. RPOPLPUSH moves the
oldest entry of one list to the newest end of another: older entries stay in front.
"""

SET_ASIDE = """
local live, aside, marker = KEYS[1], KEYS[2], KEYS[3]
local moved = redis.call('LLEN', live)
if moved > 0 and redis.call('EXISTS', aside) == 0 then
  redis.call('RENAME', live, aside)
else
  for _ = 1, moved do redis.call('RPOPLPUSH', live, aside) end
end
return {moved, redis.call('SETNX', marker, ARGV[1])}
"""
"""Give: entries moved, 1 if the band was not marked before. O(1), or O(moved) when repeated."""

BRING_BACK = """
local live, aside, marker = KEYS[1], KEYS[2], KEYS[3]
local back = redis.call('LLEN', aside)
if back > 0 then
  for _ = 1, redis.call('LLEN', live) do redis.call('RPOPLPUSH', live, aside) end
  redis.call('RENAME', aside, live)
end
return {back, redis.call('DEL', marker)}
"""
"""Give: entries brought back, 1 if the band was marked. O(entries that came in meanwhile)."""

FIND = """
local entries = redis.call('LRANGE', KEYS[1], ARGV[2], ARGV[3])
local found = {}
for _, entry in ipairs(entries) do
  if string.find(entry, ARGV[1], 1, true) then found[#found + 1] = entry end
end
return {#entries, found}
"""
"""Give: entries read, and those of them that hold the text ARGV[1]. Changes nothing."""

TAKE_OUT = """
local id, place, older = ARGV[1], 0, ''
for at = 1, 2 do
  for each = 2, #ARGV do
    local index = redis.call('LPOS', KEYS[at], ARGV[each])
    if index then
      if place == 0 then
        place = at
        older = redis.call('LINDEX', KEYS[at], index + 1) or ''
        redis.call('HSET', KEYS[3], id, ARGV[each])
      end
      redis.call('LREM', KEYS[at], 0, ARGV[each])
    end
  end
end
return {place, older}
"""
"""Move the entries of one job from live or aside into `removing`. Give: 0 if there was none,
else 1 or 2 for the list, and the next older entry. A second entry of the same job is dropped."""

PUT_BACK = """
local live, aside, removing, marker = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local entry = redis.call('HGET', removing, ARGV[1])
if not entry then return 0 end
redis.call('HDEL', removing, ARGV[1])
if ARGV[2] ~= '' then
  if redis.call('LINSERT', live, 'BEFORE', ARGV[2], entry) > 0 then return 1 end
  if redis.call('LINSERT', aside, 'BEFORE', ARGV[2], entry) > 0 then return 1 end
end
redis.call('RPUSH', redis.call('EXISTS', marker) == 1 and aside or live, entry)
return 1
"""
"""Undo TAKE_OUT: back before its older neighbour, or first in turn if that has been popped."""
