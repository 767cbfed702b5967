from dataclasses import dataclass, replace

from spend.capture.store import StoreResult


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What became of the rows of one import; read is the sum of the next four.

    unpriced: those of the imported whose price is not known.
    """

    read: int = 0
    imported: int = 0
    known: int = 0
    conflicts: int = 0
    rejected: int = 0
    unpriced: int = 0
    seconds: float = 0.0

    def stored(self, result: StoreResult) -> "ImportSummary":
        """With one more batch."""
        return replace(
            self,
            imported=self.imported + result.imported,
            known=self.known + result.known,
            conflicts=self.conflicts + len(result.conflicts),
            unpriced=self.unpriced + result.unpriced,
        )
