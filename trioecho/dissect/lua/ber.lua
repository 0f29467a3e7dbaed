-- Reads the length at `start`, as BER and DER have it: a byte up to 127, or how many bytes, and these.
-- What is at `stop` is not looked at. Returns its bytes and its value; nothing if more bytes are needed;
-- or nil, where it is wrong, and why.
local function read_number(tvb, start, stop)
    if start >= stop then
        return
    end
    local first = tvb(start, 1):uint()
    if first < 128 then
        return 1, UInt64(first)
    end
    local size = first - 128
    if size == 0 then
        return nil, 0, "0x80 has no definite length"
    end
    if size > MOST_LENGTH_BYTES then
        return nil, 0, string.format("%d bytes of length are more than %d", size, MOST_LENGTH_BYTES)
    end
    if stop - start > size then
        return size + 1, tvb(start + 1, size):uint64()
    end
end
