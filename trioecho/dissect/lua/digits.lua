-- Reads the length at `start`, in digits; what is at `stop` is not looked at. Returns its bytes and its
-- value; nothing if more bytes are needed; or nil, where it is wrong, and why.
local function read_number(tvb, start, stop)
    local most = math.min(MOST_DIGITS, stop - start)
    local text = most > 0 and tvb(start, most):raw():match(DIGITS) or ""
    local size = #text
    if size < MOST_DIGITS and start + size >= stop then
        return
    end
    if size < LEAST_DIGITS then
        return nil, size, string.format("0x%02x is no %s", tvb(start + size, 1):uint(), DIGIT)
    end
    if size > LEAST_DIGITS and text:sub(1, 1) == "0" then
        return nil, 0, "a length begins with a 0 that it does not need"
    end
    if not HEXADECIMAL then
        return size, UInt64(text)
    end
    local significant = text:gsub("^0+", "")
    if #significant > 16 then
        return nil, 0, string.format("a length of 0x%s has more than 64 bits", significant)
    end
    return size, UInt64.fromhex(string.rep("0", 16 - #significant) .. significant)
end
