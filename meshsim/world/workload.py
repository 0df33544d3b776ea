"""Workloads: users' requests, replicas' work on them, and the calls that they make."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshsim.scenario.errors import InvariantViolation
from meshsim.sidecar import events
from meshsim.telemetry.outcomes import NO_STATUS
from meshsim.telemetry.rows import CallRow, RequestRow
from meshsim.traffic.plan import draw_groups
from meshsim.world.accounts import OTHER, QUEUE, SERVICE, Account, Request
from meshsim.world.handling import Handling

if TYPE_CHECKING:
    from meshsim.sidecar.commands import Deliver
    from meshsim.sidecar.messages import CallTemplate
    from meshsim.world.alarms import Alarm
    from meshsim.world.driver import Driver
    from meshsim.world.hosts import Device, Host, Replica
    from meshsim.world.state import State
    from meshsim.world.templates import Templates


class Workloads:
    """Starts calls and ends them; handles requests at replicas; writes rows of requests and calls."""

    def __init__(self, state: State, driver: Driver, templates: Templates, budgets_ns: dict[str, int]) -> None:
        self._state = state
        self._clock = state.clock
        self._driver = driver
        self._templates = templates
        self._budgets_ns = budgets_ns
        self._accounts = state.accounts
        self._next_call_id = state.call_ids.__next__
        # Every request is a call, and about as many decisions are made as calls end.
        self._record_request = state.recorder.follower("requests")
        self._record_call = state.recorder.appender("calls", "requests", "decisions")
        self._when_worked = self._worked
        self._when_served = self._served
        self._request_count = 0

    # Requests of users

    def request(self, device: Device, source: str, template: CallTemplate) -> Alarm | None:
        """Send one request, now; return what follows, as an action may."""
        self._request_count += 1
        now_ns = self._clock.now_ns
        request = Request(self._request_count, source, device.name, template.slice, now_ns)
        call_id = self._next_call_id()
        self._accounts[call_id] = account = Account(call_id, template, request, device, None, now_ns)
        if device.up:
            return self._driver.tell_last(device, events.CallStarted(call_id, template))
        return self.end_call(account, "unreachable", 503)

    def refuse(self, device: Device, source: str, template: CallTemplate) -> None:
        """End a request at once whose flow was not admitted."""
        self._request_count += 1
        request = Request(self._request_count, source, device.name, template.slice, self._clock.now_ns)
        self._clock.put(self.end_call(self.account(template, request, device, None), "not-admitted", 503))

    def account(self, template: CallTemplate, request: Request, caller: Host, parent: Handling | None) -> Account:
        """Return the account of a call that begins now."""
        call_id = self._next_call_id()
        account = Account(call_id, template, request, caller, parent, self._clock.now_ns)
        self._accounts[call_id] = account
        return account

    # Work at a replica

    def serve_call(self, replica: Replica, command: Deliver) -> Alarm | None:
        """Queue the work of a request that a sidecar has let in; return the alarm at its end."""
        message = command.message
        account = self._accounts.get(message.call_id)
        clock = self._clock
        work_ns = replica.draw_work_ns()
        # Drawn now, so that the draws follow the order of arrival whatever the calls before them do.
        groups = draw_groups(replica.steps, replica.call_random) if replica.steps else ()
        start_ns = replica.machine.cores.submit(clock.now_ns, work_ns)
        clock.order = order = clock.order + 1
        if replica.request_bytes:
            self._state.memory.grow(replica, replica.request_bytes)
        if account is None or not groups:
            # If its caller has given up, the replica does not know, and works for nobody.
            answer = events.ServiceAnswered(command.connection_id, message.call_id, message.attempt, 200)
            job = (replica, replica.epoch, account, start_ns, answer)
            return start_ns + work_ns, order, self._when_served, job
        handling = Handling(replica, account, message, command.connection_id, groups, start_ns)
        handling.carried = command.carried
        return start_ns + work_ns, order, self._when_worked, handling

    def _served(self, job: tuple[Replica, int, Account | None, int, events.ServiceAnswered]) -> Alarm | None:
        """The work on a request is done that leads to no calls, or that is nobody's any more."""
        replica, epoch, account, start_ns, answer = job
        if replica.epoch != epoch:
            return None
        if account is not None and account.attempt == answer.attempt:
            parts = account.parts
            if start_ns != account.mark_ns:
                parts[QUEUE] += start_ns - account.mark_ns
            account.mark_ns = now_ns = self._clock.now_ns
            parts[SERVICE] += now_ns - start_ns
        return self._answer(replica, answer)

    def _worked(self, handling: Handling) -> Alarm | None:
        if handling.replica.epoch != handling.epoch:
            return None
        account = handling.account
        if account.attempt == handling.attempt:
            account.spend(QUEUE, handling.job_start_ns)
            account.spend(SERVICE, self._clock.now_ns)
        return self._proceed(handling)

    def _proceed(self, handling: Handling) -> Alarm | None:
        """Make the next group of calls, or answer; return what follows."""
        replica = handling.replica
        if handling.failed or handling.next_group == len(handling.groups):
            message = handling.message
            status = handling.status if handling.failed else 200
            answer = events.ServiceAnswered(handling.connection_id, message.call_id, message.attempt, status)
            return self._answer(replica, answer)
        group = handling.groups[handling.next_group]
        handling.next_group += 1
        handling.pending = len(group)
        account = handling.account
        following = None
        for call in group:
            self._clock.put(following)
            template = self._templates.of(call, replica.service, account.template, replica.workload)
            child = self.account(template, account.request, replica, handling)
            following = self._driver.tell_last(replica, events.CallStarted(child.call_id, template, handling.carried))
        return following

    def _answer(self, replica: Replica, answer: events.ServiceAnswered) -> Alarm | None:
        if replica.request_bytes:
            self._state.memory.shrink(replica, replica.request_bytes)
        return self._driver.tell_last(replica, answer)

    # The end of a call

    def end_call(self, account: Account, outcome: str, status: int, *, answered: bool = False) -> Alarm | None:
        """Give a call its one outcome; return what follows.

        ``status``: of the answer, if it was ``answered``; else what a proxy that knows HTTP answers in place of one.
        """
        now_ns = self._clock.now_ns
        account.attempt = 0
        account.end_ns = now_ns
        account.outcome = outcome
        account.status = status if answered or not account.template.by_connection else NO_STATUS
        del self._accounts[account.call_id]
        account.check()
        handling = account.parent
        if handling is None:
            self._request_ended(account)
            return None
        request = account.request
        if request.over:
            self._write_call(account)
        elif request.ended is None:
            request.ended = [account]
        else:
            request.ended.append(account)
        if handling.replica.epoch != handling.epoch:
            return None
        if outcome != "ok" and not account.template.optional:
            handling.failed = True
            if handling.sent_on:
                handling.status = status
                if handling.counts:
                    handling.account.told = (outcome, account.flags)
        handling.pending -= 1
        if handling.pending == 0:
            if handling.counts:
                handling.account.absorb(account, now_ns)
            return self._proceed(handling)
        return None

    def _request_ended(self, account: Account) -> None:
        request = account.request
        latency_ns = account.end_ns - request.t_intended_ns
        template = account.template
        row = RequestRow(
            request.request_id,
            request.slice,
            request.source,
            request.client,
            template.destination,
            request.t_intended_ns,
            request.t_sent_ns,
            account.end_ns,
            latency_ns,
            account.outcome,
            account.status,
            account.retries + 1,
            self._budgets_ns[request.slice],
            *account.parts,  # type: ignore[arg-type] # as many as there are columns for them
        )
        if account.exposed or account.flags:
            row = msgspec.structs.replace(row, exposed=account.exposed, flags=account.flags)
        self._record_request(row)
        if account.start_ns != request.t_intended_ns:
            raise InvariantViolation(f"request {request.request_id} was sent at another instant than intended")
        account.critical = request.over = True
        if request.ended is not None:
            _mark_critical(account)
            for call in request.ended:
                self._write_call(call)
            request.ended = None
        self._write_call(account)

    def _write_call(self, account: Account) -> None:
        caller, template, request = account.caller, account.template, account.request
        connection = account.sent_on
        if connection is None:
            destination, node, connection_id, version = template.through or template.destination, "", 0, ""
        else:
            server, connection_id = connection.server, connection.connection_id
            destination, node, version = server.workload, server.machine.name, server.version
        self._record_call(
            CallRow(
                account.call_id,
                request.request_id,
                0 if account.parent is None else account.parent.account.call_id,
                caller.workload,
                destination,
                caller.node,
                node,
                connection_id,
                template.method,
                template.path,
                account.outcome,
                account.status,
                account.start_ns,
                account.end_ns,
                account.bytes_sent,
                account.bytes_received,
                account.retries,
                account.encrypted,
                account.critical,
                account.corrupted,
                version,
                account.flags,
            )
        )
        # Each of them knows through its parent the call that waited for it: else only the collector would free them.
        account.children = ()

    # Crashes

    def kill(self, account: Account) -> None:
        """End a call whose caller lost its memory: nobody will hear of its outcome."""
        account.spend(OTHER, self._clock.now_ns)
        self._clock.put(self.end_call(account, "reset", 503))


def _mark_critical(account: Account) -> None:
    account.critical = True
    for child in account.children:
        _mark_critical(child)
