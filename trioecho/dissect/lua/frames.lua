-- ---- what Wireshark gets to know ----

local proto = Proto(NAME, DESCRIPTION)
local field = {
    number = ProtoField.uint32(NAME .. ".number", "Number of the frame in this direction"),
    header = ProtoField.bytes(NAME .. ".header", "Header"),
    before = ProtoField.bytes(NAME .. ".before", "In front of the length"),
    length = ProtoField.uint64(NAME .. ".length", "Length, as it is announced"),
    flags = ProtoField.uint8(NAME .. ".flags", "Flags above the length", base.HEX),
    behind = ProtoField.bytes(NAME .. ".behind", "Behind the length"),
    payload_length = ProtoField.uint64(NAME .. ".payload_length", "Bytes of payload"),
    payload = ProtoField.bytes(NAME .. ".payload", "Payload"),
    trailer = ProtoField.bytes(NAME .. ".trailer", "Trailer, or padding"),
    rest = ProtoField.bytes(NAME .. ".rest", "No frames"),
}
proto.fields = field

local function expert_field(name, text, severity)
    severity = severity or expert.severity.ERROR
    return ProtoExpert.new(NAME .. "." .. name, text, expert.group.MALFORMED, severity)
end
local problem = {
    malformed = expert_field("malformed", "This is no header of the format"),
    too_small = expert_field("too_small", "The length does not cover what it counts"),
    too_large = expert_field("too_large", "The payload is over the limit"),
    trailer = expert_field("bad_trailer", "What follows the payload is no trailer"),
    after = expert_field("after", "What follows has no meaning", expert.severity.NOTE),
    cut = expert_field("cut", "The rest of the frame is not here", expert.severity.NOTE),
}
proto.experts = problem

proto.prefs.max_frame_length = Pref.uint(
    "Longest payload, in bytes", MAX_FRAME_LENGTH, "A longer frame is refused, and all that follows it"
)

-- ---- one frame ----

-- Returns where bytes differ from those that have to be there, and how; nothing if they do not.
local function first_wrong(tvb, at, checks)
    for _, check in ipairs(checks) do
        for place, wanted in ipairs(check.bytes) do
            local offset = check.at + place - 1
            local here = tvb(at + offset, 1):uint()
            if here ~= wanted then
                return offset, string.format("0x%02x came instead of 0x%02x", here, wanted)
            end
        end
    end
end

-- Looks at the header that begins at `start`. Returns nil if more of it is needed; else a table with
-- what is in it, or with what is wrong (`problem`, `why`, and `at`, the offset in the frame).
local function measure(tvb, start)
    local stop = tvb:len()
    if stop - start < LEAST_HEADER_BYTES then
        return nil
    end
    local wrong, why = first_wrong(tvb, start, BEFORE)
    if wrong then
        return { problem = problem.malformed, at = wrong, why = why }
    end
    -- What is behind the number is not looked at before it is all here.
    local size, value, flags = read_number(tvb, start + BEFORE_BYTES, stop - BEHIND_BYTES + LOOKS_AHEAD)
    if not size then
        -- Then the second is where it is wrong, and the third why; or they are not there.
        return value and { problem = problem.malformed, at = BEFORE_BYTES + value, why = flags }
    end
    local behind = BEFORE_BYTES + size
    if stop - start < behind + BEHIND_BYTES then
        return nil
    end
    local frame = { size = size, value = value, flags = flags, header = behind + BEHIND_BYTES }
    wrong, why = first_wrong(tvb, start + behind, BEHIND)
    if wrong then
        return { problem = problem.malformed, at = behind + wrong, why = why }
    end
    if value < UInt64(COUNTED) then
        frame.problem = problem.too_small
        frame.why = string.format("a length of %s does not cover %d bytes that it counts", value, COUNTED)
        return frame
    end
    frame.payload = value - UInt64(COUNTED)
    local limit = proto.prefs.max_frame_length
    if frame.payload > UInt64(limit) then
        frame.problem = problem.too_large
        frame.why = string.format("a payload of %s bytes is over the limit of %d", frame.payload, limit)
        return frame
    end
    -- From here on a number of Lua's own can express it.
    frame.payload = frame.payload:tonumber()
    frame.trailer = TRAILER_BYTES
    if PADDING_AT then
        local place = PADDING_AT >= 0 and PADDING_AT or frame.header + PADDING_AT
        frame.trailer = tvb(start + place, 1):uint()
    end
    frame.bytes = frame.header + frame.payload + frame.trailer
    return frame
end

-- ---- the frames of a direction ----

-- Wireshark shows packets in any order, after it has seen them once in theirs. What was found then is kept.
-- By stream and sender: how many `frames` so far, in which packet one was `refused`, and whether one
-- `waits` for more bytes.
local directions = {}
-- By packet, of each frame that ends in it, in order: its number; 0 behind a refused one.
local found = {}

function proto.init()
    directions, found = {}, {}
end

local stream_of = Field.new("tcp.stream")

local function direction_of(pinfo)
    local streams = { stream_of() }
    local name = string.format("%s %s:%d", tostring(streams[#streams]), tostring(pinfo.src), pinfo.src_port)
    directions[name] = directions[name] or { frames = 0 }
    return directions[name]
end

-- Returns which frame of its packet is next, from 1 on. What is private is kept while a packet is looked at.
local function next_place(pinfo)
    return tonumber(pinfo.private[NAME] or 0) + 1
end

-- Returns whether what comes next in a packet follows a frame that was refused.
local function is_behind_refused(pinfo)
    local number = found[pinfo.number] and found[pinfo.number][next_place(pinfo)]
    if number then
        return number == 0
    end
    local refused = direction_of(pinfo).refused
    return refused ~= nil and pinfo.number >= refused
end

-- Returns the number of the next frame of a packet; 0 behind one that was refused.
local function take_number(pinfo)
    local place = next_place(pinfo)
    local numbers = found[pinfo.number] or {}
    found[pinfo.number] = numbers
    if not numbers[place] and is_behind_refused(pinfo) then
        numbers[place] = 0
    elseif not numbers[place] then
        local direction = direction_of(pinfo)
        direction.frames = direction.frames + 1
        numbers[place] = direction.frames
    end
    pinfo.private[NAME] = tostring(place)
    return numbers[place]
end

-- ---- what is shown ----

-- Adds bytes, those that are here, if there are any.
local function add_bytes(tree, field_of, tvb, at, size)
    size = math.min(size, tvb:len() - at)
    if size > 0 then
        return tree:add(field_of, tvb(at, size))
    end
end

local function in_words(bytes)
    return bytes == 1 and "1 byte" or string.format("%d bytes", bytes)
end

local function show_header(tvb, tree, frame)
    local header = tree:add(field.header, tvb(0, frame.header))
    add_bytes(header, field.before, tvb, 0, BEFORE_BYTES)
    local length = header:add(field.length, tvb(BEFORE_BYTES, frame.size), frame.value)
    if FLAG_BITS > 0 then
        header:add(field.flags, tvb(BEFORE_BYTES, frame.size), frame.flags)
    end
    add_bytes(header, field.behind, tvb, BEFORE_BYTES + frame.size, BEHIND_BYTES)
    return length
end

-- Shows a frame, or what is wrong with it, and returns a text about it.
local function show(tvb, pinfo, tree, frame)
    local length = frame.size and show_header(tvb, tree, frame)
    if frame.problem then
        local at = length or tree:add(field.rest, tvb(frame.at))
        at:add_proto_expert_info(frame.problem, frame.why)
        return "no frame: " .. frame.why
    end
    tree:add(field.payload_length, tvb(0, frame.header), UInt64(frame.payload)):set_generated()
    add_bytes(tree, field.payload, tvb, frame.header, frame.payload)
    add_bytes(tree, field.trailer, tvb, frame.header + frame.payload, frame.trailer)
    if tvb:len() < frame.bytes then
        frame.problem = problem.cut
        local why = string.format("%d of %d bytes are here", tvb:len(), frame.bytes)
        tree:add_proto_expert_info(problem.cut, why)
        return in_words(frame.payload) .. ", cut"
    end
    local wrong, why = first_wrong(tvb, frame.header + frame.payload, TRAILER)
    if wrong then
        frame.problem = problem.trailer
        tree:add_proto_expert_info(problem.trailer, why)
        return "no frame: " .. why
    end
    return in_words(frame.payload)
end

local texts = {} -- of the frames that one call has found
local may_join = false -- whether Wireshark puts together what it is asked to, in this call

local function dissect_frame(tvb, pinfo, root)
    local number = take_number(pinfo)
    local tree = root:add(proto, tvb())
    if number == 0 then
        tree:add(field.rest, tvb()):add_proto_expert_info(problem.after)
        table.insert(texts, "behind what is no whole frame")
        return tvb:len()
    end
    tree:add(field.number, number):set_generated()
    local frame, text = measure(tvb, 0), "part of a header"
    if frame then
        text = show(tvb, pinfo, tree, frame)
    else
        frame = { problem = problem.cut }
        tree:add_proto_expert_info(problem.cut)
    end
    tree:append_text(string.format(", frame %d: %s", number, text))
    table.insert(texts, string.format("frame %d: %s", number, text))
    if frame.problem then
        direction_of(pinfo).refused = pinfo.number
    elseif payload_dissector and frame.payload > 0 then
        payload_dissector:call(tvb(frame.header, frame.payload):tvb(), pinfo, root)
        pinfo.cols.info:fence()
    end
    return tvb:len()
end

-- Returns how many bytes the frame at `offset` has; 0 if more bytes will show it. What is refused goes
-- on to the end of what is here.
local function frame_bytes(tvb, pinfo, offset)
    local rest = math.max(tvb:len() - offset, LEAST_HEADER_BYTES)
    if is_behind_refused(pinfo) then
        return rest
    end
    local frame = measure(tvb, offset)
    if not frame then
        return may_join and 0 or rest
    end
    return frame.bytes or rest
end

function proto.dissector(tvb, pinfo, tree)
    texts = {}
    local joint = next_place(pinfo) > 1 and ", " or "" -- Wireshark may call this again for a packet
    local is_captured = tvb:len() == tvb:reported_len()
    may_join = is_captured and pinfo.can_desegment > 0
    local direction = direction_of(pinfo)
    if not is_captured and direction.waits then -- for what is not here
        direction.refused = direction.refused or pinfo.number
    end
    if tvb:len() > 0 then
        local here = is_captured and tvb or tvb(0, tvb:len()):tvb()
        -- Wireshark puts together what TCP has cut, and takes apart what it has joined.
        dissect_tcp_pdus(here, tree, LEAST_HEADER_BYTES, frame_bytes, dissect_frame, may_join)
        direction.waits = pinfo.desegment_len > 0
    end
    if not is_captured then -- where the next frame begins is not known
        direction.refused = direction.refused or pinfo.number
    end
    if #texts > 0 and not payload_dissector then
        pinfo.cols.protocol = NAME:upper()
        pinfo.cols.info:set(joint .. table.concat(texts, ", "))
        pinfo.cols.info:fence()
    end
    return tvb:len()
end

-- ---- where it is used ----

local tcp_ports, tls_ports = DissectorTable.get("tcp.port"), DissectorTable.get("tls.port")
for _, port in ipairs(PORTS) do
    if UNDER_TLS then
        tcp_ports:add(port, Dissector.get("tls"))
        tls_ports:add(port, proto)
    else
        tcp_ports:add(port, proto)
    end
end
tcp_ports:add_for_decode_as(proto)
tls_ports:add_for_decode_as(proto)
