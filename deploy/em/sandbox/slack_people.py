"""The methods about people: who they are, in which groups, and the direct conversation with one of them."""

from em.sandbox.slack_arguments import Answer, Arguments, flag, required
from em.sandbox.workspace import TEAM_ID, Group, Refusal, User, Workspace


def look_up_by_email(workspace: Workspace, arguments: Arguments) -> Answer:
    email = str(required(arguments, "email")).casefold()
    for user in workspace.users.values():
        if user.email is not None and user.email.casefold() == email and not user.deleted:
            return {"user": _profile(user)}
    raise Refusal("users_not_found")


def user_details(workspace: Workspace, arguments: Arguments) -> Answer:
    return {"user": _profile(workspace.user(required(arguments, "user"), error="user_not_found"))}


def open_conversation(workspace: Workspace, arguments: Arguments) -> Answer:
    """With one person: nobody here talks to several at once."""
    people = [each for each in str(arguments.get("users") or "").split(",") if each]
    if not people:
        raise Refusal("users_list_not_supplied")
    if len(people) > 1:
        raise Refusal("too_many_users")
    user = workspace.user(people[0], error="user_not_found")
    known = workspace.has_direct(user)
    channel = workspace.direct(user)
    opened = {"no_op": True, "already_open": True} if known else {}
    whole = {"is_im": True, "user": user.id, "created": channel.created} if flag(arguments, "return_im") else {}
    return {"channel": {"id": channel.id, **whole}, **opened}


def list_groups(workspace: Workspace, arguments: Arguments) -> Answer:
    disabled, with_users = flag(arguments, "include_disabled"), flag(arguments, "include_users")
    shown = [group for group in workspace.groups.values() if disabled or not group.disabled]
    return {"usergroups": [_group(group, with_users=with_users) for group in shown]}


def list_members(workspace: Workspace, arguments: Arguments) -> Answer:
    group = workspace.groups.get(str(required(arguments, "usergroup")))
    if group is None:
        raise Refusal("no_such_subteam")
    return {"users": group.users}


def _group(group: Group, *, with_users: bool) -> Answer:
    return {
        "id": group.id,
        "team_id": TEAM_ID,
        "is_usergroup": True,
        "name": group.name or group.handle,
        "handle": group.handle,
        "date_delete": 1 if group.disabled else 0,
        "user_count": len(group.users),
        **({"users": group.users} if with_users else {}),
    }


def _profile(user: User) -> Answer:
    return {
        "id": user.id,
        "team_id": TEAM_ID,
        "name": user.name,
        "real_name": user.real_name or user.name,
        "tz": user.tz,
        "deleted": user.deleted,
        "is_bot": user.is_bot,
        "profile": {"email": user.email, "real_name": user.real_name or user.name},
    }
