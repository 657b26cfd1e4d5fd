-- Packed texts, and the two forms of a control record.
--
-- A record is an array, or, if it is gated, an array of two: a text, which is what is kept of its gates, then that array.

local heads = {}

-- What a packed text of so many bytes begins with.
function engine.text_head(size)
  local head = heads[size]
  if not head then
    if size < 32 then
      head = string.char(160 + size)
    elseif size < 256 then
      head = string.char(217, size)
    elseif size < 65536 then
      head = string.char(218, math.floor(size / 256), size % 256)
    else
      head = string.char(219, math.floor(size / 16777216), math.floor(size / 65536) % 256, math.floor(size / 256) % 256,
        size % 256)
    end
    heads[size] = head
  end
  return head
end

-- Where the packed text at this place begins, and where it ends; nothing if there is none, or one of 64 KiB.
function engine.text_in(blob, place)
  local head, high, low = string.byte(blob, place, place + 2)
  if not head then return end
  if head >= 160 and head < 192 then return place + 1, place + head - 160 end
  if head == 217 and high then return place + 2, place + 1 + high end
  if head == 218 and low then return place + 3, place + 2 + high * 256 + low end
end

-- How many bytes of a record come before its array, and, if it is gated, where the text about its gates begins.
function engine.array_in(blob)
  if string.byte(blob, 1) ~= 146 then return 0 end
  local first, last = engine.text_in(blob, 2)
  return last or 0, first
end

-- What a gated record begins with, before so many bytes about its gates.
function engine.gated_head(size)
  return '\146' .. engine.text_head(size)
end
