-- Ids, flags and stored records.

-- The array of `size` or more fields that was stored for an invocation. What is none is set aside and counts as unknown, so that
-- one damaged record does not stop a queue; `verify` names it.
function engine.decode(id, blob, size)
  local ok, value = pcall(unpack_record, blob)
  if ok and type(value) == 'table' and #value >= size then return value end
  call('SADD', P .. 'broken', id)
  return false
end

-- What is kept of the gates of an invocation, as an array of `G_` fields.
function engine.decode_gating(id, text)
  local gated = { pcall(unpack_record, text) }
  if table.remove(gated, 1) and #gated == G_TRIAL and type(gated[G_GATES]) == 'table' then return gated end
  call('SADD', P .. 'broken', id)
  return false
end

-- Byte order: the comparison of Lua follows the locale of the server.
function engine.before(one, other)
  local shorter = math.min(#one, #other)
  for place = 1, shorter do
    local a, b = string.byte(one, place), string.byte(other, place)
    if a ~= b then return a < b end
  end
  return #one < #other
end

-- Whether what has this rank and id comes before the other.
function engine.precedes(rank, id, other_rank, other_id)
  if rank ~= other_rank then return rank < other_rank end
  return engine.before(id, other_id)
end

function engine.sorted_ids(ids)
  table.sort(ids, engine.before)
  return ids
end

function engine.id_text(id)
  local hex = string.gsub(id, '.', function(c) return string.format('%02x', string.byte(c)) end)
  if #id ~= 16 then return hex end
  return string.sub(hex, 1, 8) .. '-' .. string.sub(hex, 9, 12) .. '-' .. string.sub(hex, 13, 16) .. '-'
    .. string.sub(hex, 17, 20) .. '-' .. string.sub(hex, 21)
end

function engine.is_flagged(flags, flag)
  return flags % (flag * 2) >= flag
end

-- Ids laid end to end, apart again.
function engine.split_ids(text)
  local ids = {}
  for first = 1, #text, 16 do ids[#ids + 1] = string.sub(text, first, first + 15) end
  return ids
end

function engine.distinct(ids)
  local seen, kept = {}, {}
  for _, id in ipairs(ids) do
    if not seen[id] then
      seen[id] = true
      kept[#kept + 1] = id
    end
  end
  return kept
end
