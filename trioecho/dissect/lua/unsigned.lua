-- Reads the length at `start`; what is at `stop` is not looked at. Returns its bytes, its value,
-- and the flags above it; nothing if more bytes are needed.
local function read_number(tvb, start, stop)
    if stop - start < NUMBER_BYTES then
        return
    end
    local range = tvb(start, NUMBER_BYTES)
    local value = LITTLE_ENDIAN and range:le_uint64() or range:uint64()
    local flags = FLAG_BITS > 0 and value:rshift(8 * NUMBER_BYTES - FLAG_BITS):tonumber() or 0
    return NUMBER_BYTES, value:band(LENGTH_MASK), flags
end
