"""The first reply of a server shows whether it replies to frames; until it has come, nothing is certain.

A closed loop sends one frame first, and the others when the reply has come: it is the first
message of the load, so no count is wrong and no connection is made for it. A schedule
and think times go on as they must, and are ended as well when what comes is no frame.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...base.quantities import plural
from ...base.units import NS_PER_S
from ...client.strange_replies import name_of_service, no_frame
from ..plan import LoadPlan
from .connection import LoadConnection


class FirstReply:
    """What is known of the server before its first reply has come.

    Attributes:
      has_come: whether a frame came, right or wrong: then all else is up to the load.
      refusal: why this is no server for a load; the end of a sentence that begins with its
        address. None if it may be one.
      is_unanswered: whether nothing at all came, so that another format may be the reason.

    Args:
      plan: of the load.
      connections: all of them.
      began: when the first frame was sent, in ns of the clock.
    """

    def __init__(self, plan: LoadPlan, connections: Sequence[LoadConnection], began: int) -> None:
        self.has_come: bool = False
        self.refusal: str | None = None
        self.is_unanswered: bool = False
        self._plan = plan
        self._connections = connections
        self._silent_from = began + round(plan.timeout_s * NS_PER_S)

    def look(self, now: int) -> None:
        """Look at what has come, or for how long nothing has."""
        ended = None
        is_awaited = False
        for connection in self._connections:
            end = connection.unanswered_end
            if end is None:
                if connection.in_flight.next:
                    self.has_come = True
                    return
                is_awaited |= len(connection.in_flight) > 0
                continue
            kind, first_bytes = end
            service = name_of_service(first_bytes)
            if service is None and kind == "framing_lost":
                service = f"replies with {no_frame(first_bytes, self._plan.format, self._plan.largest_reply)}"
            if service is not None:
                self.refusal = service
                return
            if first_bytes:  # the beginning of a frame
                self.has_come = True
                return
            ended = kind
        if ended is not None and not is_awaited:
            how = "reset the connection" if ended == "connection_lost" else "ended the connection"
            self._refuse_unanswered(f"{how} without a reply to the first frame")
        elif is_awaited and now > self._silent_from:
            self._refuse_unanswered(f"sent nothing within {self._plan.timeout_s:g} s after the first frame")

    def _refuse_unanswered(self, finding: str) -> None:
        plan = self._plan
        frames = "this frame" if plan.service.conversation else f"frames of {plural(plan.sizes.most, 'byte')}"
        self.refusal = f"{finding}: does it take {frames}, and are its headers {plan.format}?"
        self.is_unanswered = True
