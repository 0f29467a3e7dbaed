"""`JsonChannel`: what a supervisor and its workers say to each other."""

from __future__ import annotations

import subprocess
import sys

import pytest
import trio

from trioecho import FrameTooLargeError, IncompleteFrameError
from trioecho.connection import json_frames
from trioecho.connection.json_frames import JsonChannel, open_json_pair


async def test_documents_arrive_as_they_were() -> None:
    ours, theirs = open_json_pair()
    async with ours, JsonChannel(theirs) as channel:
        documents = [{"a": [1, 2.5, None]}, "\u2603 and \x00", 7, [], {"large": "x" * 1_000_000}]
        arrived = []
        async with trio.open_nursery() as nursery:

            async def send_all() -> None:
                for document in documents:
                    await ours.send(document)
                await ours.aclose()

            nursery.start_soon(send_all)
            async for document in channel:
                arrived.append(document)
        assert arrived == documents


async def test_the_end_of_the_other_process_is_the_end_of_the_channel() -> None:
    ours, theirs = open_json_pair()
    async with ours:
        with theirs:
            process = await trio.lowlevel.open_process(
                [sys.executable, "-c", "input()"], stdin=theirs.fileno()
            )
        process.kill()
        with pytest.raises(trio.EndOfChannel):
            await ours.receive()
        await process.wait()


async def test_what_is_cut_off_is_no_document() -> None:
    ours, theirs = open_json_pair()
    async with ours:
        with theirs:
            theirs.sendall(b"\0\0\0\x07[1, 2")
        with pytest.raises(IncompleteFrameError):
            await ours.receive()


async def test_a_document_that_is_announced_too_long_is_refused_before_it_comes() -> None:
    ours, theirs = open_json_pair()
    async with ours:
        with theirs:
            theirs.sendall((json_frames.MAX_DOCUMENT_BYTES + 1).to_bytes(4, "big"))
            with pytest.raises(FrameTooLargeError):
                await ours.receive()


async def test_the_other_end_is_not_inherited_by_processes_that_are_not_given_it() -> None:
    ours, theirs = open_json_pair()
    async with ours:
        other = await trio.lowlevel.open_process([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        theirs.close()
        with pytest.raises(trio.EndOfChannel):
            await ours.receive()
        other.kill()
        await other.wait()
