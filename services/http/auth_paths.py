"""The routes of signing in, as OpenAPI describes them."""

from typing import Any, Final

import msgspec

from services.accounts.accounts import Invitation
from services.accounts.identities import Begun
from services.accounts.service_tokens import Issued
from services.accounts.sessions import Tokens
from services.http import auth, formats, identities, own_data, service_tokens
from services.http.auth_bodies import (
    AskForCode,
    AskToMove,
    BeginIdentity,
    ChangeAddress,
    Changed,
    ChangeName,
    ChangePassword,
    CodeAsked,
    FinishIdentity,
    Invite,
    IssueToken,
    Me,
    ProvidersOffered,
    Refresh,
    Register,
    Revoked,
    RevokeToken,
    SessionsShown,
    SignIn,
)
from services.problems import PROBLEMS, slug


Schema = dict[str, Any]

KINDS: Final[tuple[type[msgspec.Struct], ...]] = (
    AskForCode,
    CodeAsked,
    Register,
    SignIn,
    Refresh,
    ChangePassword,
    Invite,
    Invitation,
    Me,
    SessionsShown,
    Tokens,
    IssueToken,
    Issued,
    RevokeToken,
    Revoked,
    BeginIdentity,
    Begun,
    FinishIdentity,
    ProvidersOffered,
    AskToMove,
    ChangeAddress,
    ChangeName,
    Changed,
)
STATUS: Final = {slug(kind): str(found.status) for kind, found in PROBLEMS.items()}


def auth_paths() -> Schema:
    """Return every route."""
    path = auth.PATH
    return {
        f"{path}/codes": {
            "post": _open(
                "askForCode",
                "Have a code sent to an address",
                AskForCode,
                ("202", "A code was sent if the address may sign in", CodeAsked),
            )
        },
        f"{path}/register": {
            "post": _open(
                "register",
                "Make an account for an address that a code was sent to, and sign in",
                Register,
                ("201", "The tokens of a new session", Tokens),
                "forbidden",
                "refused",
            )
        },
        f"{path}/sign-in": {
            "post": _open(
                "signIn",
                "Begin a session by a password, or by a code that was sent",
                SignIn,
                ("200", "The tokens of a new session", Tokens),
                "missing",
                "refused",
            )
        },
        f"{path}/refresh": {
            "post": _open(
                "refresh",
                "Take a session's next tokens; each refresh token is good once",
                Refresh,
                ("200", "The next tokens of the session", Tokens),
            )
        },
        f"{path}/sign-out": {
            "post": _bearer("signOut", "End the session of the bearer", "missing")
        },
        f"{path}/me": {
            "get": _bearer("getMe", "Who the bearer is", answer=("The bearer", Me))
        },
        own_data.PATH: {
            "get": {
                **_bearer("exportMe", "All that is kept about the bearer"),
                **_lines("The data; the last line is of kind end"),
            }
        },
        f"{path}/password": {
            "put": {
                **_bearer(
                    "changePassword",
                    "Set one's password, and end one's other sessions",
                    *_BODY,
                    "missing",
                    "refused",
                    "too-many",
                ),
                **_takes(ChangePassword),
            }
        },
        f"{path}/sessions": {
            "get": _bearer(
                "listSessions", "One's sessions", answer=("The sessions", SessionsShown)
            )
        },
        f"{path}/sessions/{{id}}": {
            "delete": {
                **_bearer(
                    "endSession", "End a session of one's own", "malformed", "missing"
                ),
                "parameters": [
                    {
                        "name": "id",
                        "in": "path",
                        "required": True,
                        "description": "Session identifier",
                        "schema": {"type": "string", "format": "uuid"},
                    }
                ],
            }
        },
        f"{path}/invitations": {
            "post": {
                **_bearer(
                    "invite",
                    "Make an account for somebody; takes the role admin in access",
                    *_BODY,
                    "refused",
                    answer=("The account", Invitation),
                    status="201",
                ),
                **_takes(Invite),
                "parameters": [
                    {
                        "name": "Idempotency-Key",
                        "in": "header",
                        "required": False,
                        "description": "The new user's id",
                        "schema": {"type": "string", "format": "uuid"},
                    }
                ],
            }
        },
        **_name_paths(),
        **_identity_paths(),
        **_service_token_paths(),
    }


def _name_paths() -> Schema:
    path = auth.PATH
    return {
        f"{path}/email": {
            "post": {
                **_bearer(
                    "askToChangeEmail",
                    "Have a code sent to the address that is to be one's own",
                    *_BODY,
                    "missing",
                    "refused",
                    "too-many",
                    answer=("A code was sent if the address is free", CodeAsked),
                    status="202",
                ),
                **_takes(AskToMove),
            },
            "put": {
                **_bearer(
                    "changeEmail",
                    "Change one's address; the old one is told",
                    *_BODY,
                    "missing",
                    "refused",
                    "too-many",
                    answer=("Where that is in the log", Changed),
                ),
                **_takes(ChangeAddress),
            },
        },
        f"{path}/username": {
            "put": {
                **_bearer(
                    "changeUsername",
                    "Change one's user name",
                    *_BODY,
                    "missing",
                    "refused",
                    "too-many",
                    answer=("Where that is in the log", Changed),
                ),
                **_takes(ChangeName),
            }
        },
    }


def _identity_paths() -> Schema:
    path = identities.PATH
    name = {
        "name": "provider",
        "in": "path",
        "required": True,
        "description": "Name of the identity provider",
        "schema": {"type": "string"},
    }
    org = {
        "name": "org",
        "in": "query",
        "required": True,
        "description": "Organisation that is signed in to",
        "schema": {"type": "string"},
    }
    return {
        path: {
            "get": {
                "tags": ["auth"],
                "operationId": "listIdentityProviders",
                "summary": "By which identity providers one may sign in",
                "security": [],
                "parameters": [org],
                "responses": {
                    "200": _content("The providers", ProvidersOffered),
                    **_problems("malformed"),
                },
            }
        },
        f"{path}/{{provider}}/start": {
            "post": {
                **_open(
                    "beginIdentity",
                    "Begin to sign in by an identity provider: send the browser to the "
                    "address, and keep the binding to go on with",
                    BeginIdentity,
                    ("200", "Where to send the browser", Begun),
                    "missing",
                    "refused",
                ),
                "parameters": [name],
            }
        },
        f"{path}/{{provider}}/finish": {
            "post": {
                **_open(
                    "finishIdentity",
                    "Begin a session of who came back from an identity provider",
                    FinishIdentity,
                    ("200", "The tokens of a new session", Tokens),
                    "forbidden",
                    "missing",
                    "refused",
                ),
                "parameters": [name],
            }
        },
        f"{path}/{{provider}}/link": {
            "post": {
                **_bearer(
                    "linkIdentity",
                    "Link who came back from an identity provider to one's account",
                    *_BODY,
                    "missing",
                    "refused",
                    "too-many",
                ),
                **_takes(FinishIdentity),
                "parameters": [name],
            }
        },
        f"{path}/{{provider}}": {
            "delete": {
                **_bearer(
                    "unlinkIdentity",
                    "Sign in by an identity provider no more",
                    "malformed",
                    "missing",
                ),
                "parameters": [name],
            }
        },
    }


def _service_token_paths() -> Schema:
    path = service_tokens.PATH
    return {
        path: {
            "post": {
                **_bearer(
                    "issueServiceToken",
                    "Give a service a token; takes the role admin in access",
                    *_BODY,
                    "refused",
                    answer=("The token, which is not shown again", Issued),
                    status="201",
                ),
                **_takes(IssueToken),
            }
        },
        f"{path}/{{id}}/revocation": {
            "post": {
                **_bearer(
                    "revokeServiceToken",
                    "Believe a service's token no more; takes the role admin in access",
                    *_BODY,
                    "missing",
                    answer=("Where that is in the log", Revoked),
                ),
                **_takes(RevokeToken),
                "parameters": [
                    {
                        "name": "id",
                        "in": "path",
                        "required": True,
                        "description": "Token identifier",
                        "schema": {"type": "string", "format": "uuid"},
                    }
                ],
            }
        },
    }


_BODY: Final = ("malformed", "too-large", "unsupported-media")


def _open(
    name: str,
    summary: str,
    body: type[msgspec.Struct],
    answer: tuple[str, str, type[msgspec.Struct]],
    *problems: str,
) -> Schema:
    """Return a route that takes no token."""
    status, told, kind = answer
    return {
        "tags": ["auth"],
        "operationId": name,
        "summary": summary,
        "security": [],
        **_takes(body),
        "responses": {
            status: _content(told, kind),
            **_problems(*_BODY, *problems, "unauthenticated", "too-many"),
        },
    }


def _bearer(
    name: str,
    summary: str,
    *problems: str,
    answer: tuple[str, type[msgspec.Struct]] | None = None,
    status: str = "200",
) -> Schema:
    """Return a route that takes a token."""
    good = {"204": {"description": "Done"}}
    return {
        "tags": ["auth"],
        "operationId": name,
        "summary": summary,
        "responses": {
            **(good if answer is None else {status: _content(*answer)}),
            **_problems(*problems, "unauthenticated", "forbidden"),
        },
    }


def _lines(told: str) -> Schema:
    content = {formats.NDJSON: {"schema": {"type": "string"}}}
    return {
        "responses": {
            "200": {"description": told, "content": content},
            **_problems("unauthenticated", "forbidden", "too-many"),
        }
    }


def _takes(kind: type[msgspec.Struct]) -> Schema:
    content = {"application/json": {"schema": _reference(kind)}}
    return {"requestBody": {"required": True, "content": content}}


def _content(told: str, kind: type[msgspec.Struct]) -> Schema:
    content = {"application/json": {"schema": _reference(kind)}}
    return {"description": told, "content": content}


def _reference(kind: type[msgspec.Struct]) -> Schema:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _problems(*slugs: str) -> Schema:
    return {
        STATUS[name]: {"$ref": f"#/components/responses/{name}"}
        for name in (*slugs, "defect", "unavailable")
    }
