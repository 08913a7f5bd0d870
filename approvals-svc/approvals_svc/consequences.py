"""What follows outside from how an approval ended. Pure."""

from approvals_svc import actions, callbacks, ci_gates, gates, links
from approvals_svc.model import Approval
from approvals_svc.tasks import Task


def consequences(approval: Approval, *, waits: bool = True) -> tuple[Task, ...]:
    """At most one of each kind; another approval answers for one that is superseded. Unless its gate still `waits`,
    there is nobody to be answered."""
    if approval.status == "superseded":
        return ()
    answered = gates.answer(approval) if waits else ()
    carried_out = (*actions.carry_out(approval), *links.carry_out(approval))
    return (*answered, *ci_gates.answer(approval), *carried_out, *callbacks.tell(approval))
