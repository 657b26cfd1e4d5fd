-- What a submission does whose deduplication key is held.

-- A record that was never claimed takes another delay.
local function delay_again(r, due)
  if not due and r[C_STATE] == READY then return end
  if r[C_GATED] then engine.withdraw(r) end
  r[C_NOT_BEFORE] = due
  r[C_STATE], r[C_REASON] = due and BLOCKED or READY, due and REASON_DELAYED or REASON_NEW
  engine.touch(r)
  if not due then engine.ready(r) end
end

-- Put other arguments into the stored call of an invocation.
local function put_arguments(id, sent)
  local stored = engine.stored_call(id)
  local start = string.byte(stored, 1) == 1 and 34 or 2
  local fields = unpack_record(string.sub(stored, start))
  fields[6] = unpack_record(sent)[6]
  engine.put_call(id, string.sub(stored, 1, start - 1) .. pack(fields))
end

-- Let the holder of a key take arguments and delay of an item, unless it was claimed already.
local function debounce(id, item)
  local r = engine.record(id)
  if not r or r[C_EPOCH] > 0 then return false end
  put_arguments(id, item[16])
  local due = item[5] > 0 and now + item[5]
  if r[C_NEED_LEFT] > 0 then
    r[C_NOT_BEFORE] = due
    engine.touch(r)
  else
    delay_again(r, due)
  end
  return true
end

-- The verdict on an item whose key is held on these terms.
function engine.meet_holder(holder, terms, item)
  local wish = item[20]
  if not wish then return SUBMIT_DEDUPED end
  if wish[1] == DEDUPE_RAISE then
    local hash = terms == '' and '' or unpack_record(terms)[2]
    return hash == wish[2] and SUBMIT_DEDUPED or SUBMIT_DIFFERENT
  end
  return wish[1] == DEDUPE_DEBOUNCE and debounce(holder, item) and SUBMIT_DEBOUNCED or SUBMIT_DEDUPED
end
