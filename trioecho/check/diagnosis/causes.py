"""The likely causes that the suite can name, each with what to do about it."""

from __future__ import annotations

from .causes_of_clients import CAUSES_OF_CLIENTS
from .causes_of_frames import CAUSES_OF_FRAMES
from .causes_of_trouble import CAUSES_OF_TROUBLE

CAUSES = {cause.id: cause for cause in (*CAUSES_OF_FRAMES, *CAUSES_OF_TROUBLE, *CAUSES_OF_CLIENTS)}
