"""A Locust user that carries out a part of a load of ``trioecho load``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from locust import User, constant, events, task
from locust.env import Environment
from locust.exception import StopTest
from locust.runners import MasterRunner, WorkerRunner

from .plan_master import PlanMaster
from .plan_node import PlanNode
from .plan_program import PlanFailedError, check_plan
from .processes_of_locust import end_process, is_headless_and_first
from .service_address import parse_service

# Where the node of an environment is found by its users.
_NODE = "trioecho_plans"


class PlanUser(User):
    """A user that has an engine of ``trioecho load``, in a process of its own.

    One load is divided over all users of the class, whatever Locust workers they are on: each has some of
    the connections. They start together, when all users are there and their connections are open. When
    all are done, the reports are printed and written by the master of Locust.

    ``host`` is as of `FramedUser`, without ``tls://``.

    Attributes:
      options: those of ``trioecho load``, as they are written in a shell, or a word each.
      ends_test: whether the test of Locust is over when the load is.
    """

    abstract = True
    options: str | Sequence[str] = ""
    ends_test: bool = True
    wait_time: Any = constant(1)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        if not hasattr(environment, _NODE):
            raise StopTest(f"{type(self).__name__} was not there when Locust has started")
        self._is_done = False

    @task
    def carry_out(self) -> None:
        """Carry out this user's part, once."""
        if not self._is_done:
            self._is_done = True
            node: PlanNode = getattr(self.environment, _NODE)
            node.carry_out(type(self).__name__)

    @classmethod
    def words(cls, host: str | None) -> list[str]:
        """Return the address and the options of the load.

        Args:
          host: of Locust; it is used instead of the class's own.

        Raises:
          ValueError: one of them cannot be.
        """
        service = parse_service(host or cls.host)
        if service.is_tls:
            raise ValueError("a load is under TLS by its options: write --tls there, and not tls://")
        options = shlex.split(cls.options) if isinstance(cls.options, str) else [*cls.options]
        return [str(service), *options]


def set_up_plans(environment: Environment, **others: Any) -> None:
    """Make a process of Locust ready for the loads of its users.

    One of them that cannot be ends the process, with one line that says why.
    """
    users = [user for user in environment.user_classes if issubclass(user, PlanUser)]
    if not users:
        return
    if isinstance(environment.runner, WorkerRunner):
        setattr(environment, _NODE, PlanNode(environment))
        return
    checked = {}
    for user in users:
        # Else Locust's page asks for the host.
        if environment.host or user.host or is_headless_and_first(environment):
            try:
                checked[user.__name__] = check_plan(user.words(environment.host))
            except ValueError as error:
                end_process(f"{user.__name__}: {error}")
            except PlanFailedError as error:
                end_process(f"{user.__name__}: {error}", error.exit_code)

    def plans() -> dict[str, list[str]]:
        return {user.__name__: user.words(environment.host) for user in users}

    master = PlanMaster(environment, plans, checked, ends_test=all(user.ends_test for user in users))
    if not isinstance(environment.runner, MasterRunner):
        setattr(environment, _NODE, PlanNode(environment, master.note_outcome))


events.init.add_listener(set_up_plans)  # type: ignore[no-untyped-call] # Locust's has no types
