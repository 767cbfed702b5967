"""What a bound token may see: one organization, team or key, and nothing else.

The database holds to it by row-level security, so a query needs no filter of its own.
"""

from dataclasses import dataclass
from typing import NoReturn

from sqlalchemy import text
from sqlalchemy.orm import Session

from spend.capture import values
from spend.capture.request import Rejected
from spend.errors import BadInputError

ROLE = "spendbeat_tenant"
# Local to the transaction, as the role is: nothing of it is left for whoever is next on the
# connection, also after an error. A field that is not bound is set too, to nothing.
_BIND = text(
    "SELECT set_config('spendbeat.organization', :organization, true),"
    " set_config('spendbeat.team', :team, true),"
    " set_config('spendbeat.api_key', :api_key, true),"
    f" set_config('role', '{ROLE}', true)"
)


@dataclass(frozen=True)
class Binding:
    """What a request has to be attributed to; all that is set has to match, exactly as written.

    Raises BadInputError where nothing is set, or what no request can be attributed to.
    """

    organization: str | None = None
    team: str | None = None
    api_key: str | None = None

    def __post_init__(self) -> None:
        if not self.fields():
            raise BadInputError("A binding names an organization, a team or a key.")
        for name, value in self.fields().items():
            _check(name, value)

    def fields(self) -> dict[str, str]:
        """What is set, by its name in the ledger."""
        named = {"organization": self.organization, "team": self.team, "api_key": self.api_key}
        return {name: value for name, value in named.items() if value is not None}

    def matches(self, organization: str | None, team: str | None, api_key: str | None) -> bool:
        """Whether what is attributed so may be seen; what is not attributed may not."""
        said = {"organization": organization, "team": team, "api_key": api_key}
        return all(said[name] == value for name, value in self.fields().items())

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.fields().items())


def act_for(session: Session, binding: Binding) -> None:
    """See only what the binding matches, and be the tenants' role, until the transaction ends."""
    everything = {"organization": "", "team": "", "api_key": ""}
    session.execute(_BIND, {**everything, **binding.fields()})


def _check(name: str, value: str) -> None:
    try:
        stored = values.text(name, value)
    except Rejected as verdict:
        raise BadInputError(f"{verdict}.") from None
    if not stored:
        _refuse(name, "is empty, and what is not attributed is visible to no bound token")
    if stored != value:
        _refuse(name, f"{value!r:.80} has blanks around it, which no request's has")


def _refuse(name: str, why: str) -> NoReturn:
    raise BadInputError(f"{name} {why}.")
