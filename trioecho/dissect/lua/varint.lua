-- Reads the length at `start`, of 7 bits a byte, least first; the highest bit says that another byte
-- follows. What is at `stop` is not looked at. Returns its bytes and its value; nothing if more bytes
-- are needed; or nil, where it is wrong, and why.
local function read_number(tvb, start, stop)
    local value = UInt64(0)
    for place = 0, math.min(MOST_NUMBER_BYTES, stop - start) - 1 do
        local byte = tvb(start + place, 1):uint()
        value = value + UInt64(byte % 128):lshift(7 * place)
        if byte < 128 then
            if byte == 0 and place > 0 then
                return nil, place, "a varint is longer than its number needs: its last byte is 0"
            end
            return place + 1, value
        end
    end
    if stop - start >= MOST_NUMBER_BYTES then
        return nil, MOST_NUMBER_BYTES - 1, string.format("a varint goes on after %d bytes", MOST_NUMBER_BYTES)
    end
end
