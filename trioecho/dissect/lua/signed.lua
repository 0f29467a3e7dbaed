-- Reads the length at `start`; what is at `stop` is not looked at. Returns its bytes and its value;
-- nothing if more bytes are needed; or nil, where it is wrong, and why.
local function read_number(tvb, start, stop)
    if stop - start < NUMBER_BYTES then
        return
    end
    local range = tvb(start, NUMBER_BYTES)
    local value = LITTLE_ENDIAN and range:le_int64() or range:int64()
    if value < Int64(0) then
        return nil, 0, string.format("a length of %s is negative", value)
    end
    return NUMBER_BYTES, LITTLE_ENDIAN and range:le_uint64() or range:uint64()
end
