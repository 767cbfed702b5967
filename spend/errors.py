class SpendbeatError(Exception):
    """Something went wrong that the user can act on."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class BadInputError(SpendbeatError):
    """The input cannot be used."""


class UnknownError(BadInputError):
    """There is nothing of this name or number."""


class ConflictError(BadInputError):
    """This does not go with how things are now."""


class TakenError(ConflictError):
    """This name belongs to another one already."""


class UnavailableError(SpendbeatError):
    """A server that is needed does not answer."""


class RestoredClusterError(SpendbeatError):
    """This database was restored into another Postgres cluster, so the transaction numbers in
    its ledger mean nothing here and rollups stopped before counting anything twice. Run
    'spendbeat rollups rebuild', which counts every row once and goes on from there.
    """


class BusyError(SpendbeatError):
    """Somebody else is doing this right now."""
