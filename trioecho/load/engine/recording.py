"""Record what the connections of a process send, and what comes back, while a load runs.

A recording listens where the sockets are: whatever decides what is sent, and however replies are verified,
what the kernel took is what is recorded. It is written as it comes, so that its memory is bounded. What the
disk takes for it, the load has to wait for; the generator sees that in its own lateness.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ...base.describe import describe
from ...base.message_file import MessageFormat, message_format_of
from ...errors import RemoteProtocolError
from ...framing import Frame, FrameDecoder, FrameFormat
from ..plan import LoadPlan
from ..results.recording_result import RecordingResult
from .sending import Socket

_BUFFER_BYTES = 1 << 20
# What waits for its reply, of all connections together; where it is more, the oldest is written without.
_MOST_WAITING_BYTES = 32 << 20


@dataclass(frozen=True)
class RecordingTask:
    """What a process has to record.

    Attributes:
      file: the name that the user gave to the recording.
      part: the file that this process writes.
    """

    file: str
    part: str


class Recording:
    """What a process records. It is to be closed.

    Attributes:
      messages: how many were recorded.
      failure: why nothing is recorded any more, in words; empty while all is well.

    Args:
      task: which files.
      plan: of the load.
    """

    def __init__(self, task: RecordingTask, plan: LoadPlan) -> None:
        self.messages: int = 0
        self.failure: str = ""
        self._task = task
        self._plan = plan
        self._with_replies = message_format_of(task.file) is MessageFormat.JSON_LINES
        self._file: BinaryIO | None = None
        self._watched: set[RecordedLines] = set()

    def watch(self, connected: Socket) -> Socket:
        """Return a socket that does what this one does, and records it."""
        if not self._with_replies:
            return RecordedFrames(connected, self, self._plan.format)
        most_waiting = _MOST_WAITING_BYTES // self._plan.connections
        watched = RecordedLines(
            connected,
            self,
            self._plan.format,
            largest_reply=self._plan.largest_reply,
            most_waiting=most_waiting,
        )
        self._watched.add(watched)
        return watched

    def forget(self, watched: RecordedLines) -> None:
        """Listen no longer to a socket that was closed."""
        self._watched.discard(watched)

    def add(self, data: bytes | memoryview, messages: int) -> None:
        """Write so many messages; nothing, after a failure."""
        if self.failure:
            return
        try:
            if self._file is None:
                self._file = Path(self._task.part).open("xb", buffering=_BUFFER_BYTES)  # noqa: SIM115 - see close
            self._file.write(data)
        except OSError as error:
            self._fail(error)
        else:
            self.messages += messages

    def close(self) -> RecordingResult:
        """Write what has no reply yet, close the file, and return what came of it."""
        for watched in list(self._watched):
            watched.write_rest()
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                self._fail(error)
            self._file = None
        return RecordingResult(self._task.file, 0 if self.failure else self.messages, self.failure)

    def _fail(self, error: OSError) -> None:
        self.failure = describe(error)
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # what it had kept has no room either
                file.close()
            Path(self._task.part).unlink(missing_ok=True)


class RecordedFrames:
    """A socket whose frames are recorded as they are on the wire, each when the kernel has all of it."""

    def __init__(self, connected: Socket, recording: Recording, format: FrameFormat) -> None:
        self.recv: Callable[[int], bytes] = connected.recv
        self.recv_into: Callable[[memoryview], int] = connected.recv_into
        self.shutdown: Callable[[int], None] = connected.shutdown
        self.close: Callable[[], None] = connected.close
        self._socket = connected
        self._recording = recording
        self._sent = FrameDecoder(format=format, max_frame_length=format.max_payload_length)

    def send(self, data: bytes | memoryview, /) -> int:
        """Send, and record the frames that are complete by now."""
        taken = self._socket.send(data)
        sent = self._sent
        sent.receive_data(memoryview(data)[:taken])
        while sent.buffered_bytes and (batch := sent.next_batch()) is not None:
            self._recording.add(batch.data, batch.frame_count)
        return taken


class RecordedLines:
    """A socket whose messages are recorded as JSON Lines, each with its reply.

    The n-th reply is that to the n-th message. A message without one is written when the connection closes.

    Args:
      connected: the socket.
      recording: takes the lines.
      format: of frames.
      largest_reply: payload bytes that a reply may have.
      most_waiting: payload bytes of messages that wait for their replies.
    """

    def __init__(
        self,
        connected: Socket,
        recording: Recording,
        format: FrameFormat,
        *,
        largest_reply: int,
        most_waiting: int,
    ) -> None:
        self.shutdown: Callable[[int], None] = connected.shutdown
        self._socket = connected
        self._recording = recording
        self._sent = FrameDecoder(format=format, max_frame_length=format.max_payload_length)
        self._received = FrameDecoder(format=format, max_frame_length=largest_reply)
        self._most_waiting = most_waiting
        self._has_headers = not format.is_plain
        self._waiting: deque[Frame] = deque()
        self._waiting_bytes = 0
        self._written_alone = 0  # whose replies may still come
        self._is_readable = True

    def send(self, data: bytes | memoryview, /) -> int:
        """Send, and keep the messages that are complete by now until their replies come."""
        taken = self._socket.send(data)
        self._sent.receive_data(memoryview(data)[:taken])
        while self._sent.buffered_bytes and (messages := self._frames_of(self._sent)):
            self._waiting.extend(messages)
            self._waiting_bytes += sum(len(message.payload) for message in messages)
        while self._waiting_bytes > self._most_waiting:
            self._write(self._take(), None)
            self._written_alone += 1
        return taken

    def recv(self, most: int, /) -> bytes:
        """Receive, and record what is complete by now."""
        data = self._socket.recv(most)
        self._take_replies(data)
        return data

    def recv_into(self, buffer: memoryview, /) -> int:
        """Receive, and record what is complete by now."""
        count = self._socket.recv_into(buffer)
        self._take_replies(buffer[:count])
        return count

    def close(self) -> None:
        """Close, and record the messages that have no reply."""
        self._socket.close()
        self.write_rest()
        self._recording.forget(self)

    def write_rest(self) -> None:
        """Write the messages that have no reply."""
        while self._waiting:
            self._write(self._take(), None)

    def _take_replies(self, data: bytes | memoryview) -> None:
        if not self._is_readable:
            return
        self._received.receive_data(data)
        try:
            while self._received.buffered_bytes and (replies := self._frames_of(self._received)):
                for reply in replies:
                    if self._written_alone:
                        self._written_alone -= 1
                    elif self._waiting:  # else nobody has asked for it
                        self._write(self._take(), reply)
        except RemoteProtocolError:
            self._is_readable = False  # no replies come any more

    def _frames_of(self, decoder: FrameDecoder) -> list[Frame]:
        if not self._has_headers:
            return [Frame(b"", payload) for payload in decoder.next_frames()]
        frame = decoder.next_whole_frame()
        return [] if frame is None else [frame]

    def _take(self) -> Frame:
        message = self._waiting.popleft()
        self._waiting_bytes -= len(message.payload)
        return message

    def _write(self, message: Frame, reply: Frame | None) -> None:
        tail = "" if reply is None else f', "reply": {{{self._written(reply)}}}'
        self._recording.add(f"{{{self._written(message)}{tail}}}\n".encode(), 1)

    def _written(self, frame: Frame) -> str:
        # `json.dumps` takes five times as long.
        header = f'"header": "{frame.header.hex()}", ' if self._has_headers else ""
        return f'{header}"hex": "{frame.payload.hex()}"'
