"""What can be wrong with a data set; one more branch of the tree in `p402.errors`.

P402Error
+- DatasetError
   +- MissingData      the files are not on this machine; the message says how to get them
   +- CorruptData      the files are not the ones that were read when the loader was written
   +- MissingOutcome   an arm has no outcome for a prompt: never a zero
"""

from p402.errors import P402Error


class DatasetError(P402Error):
    """A data set cannot be used as it stands."""


class MissingData(DatasetError):
    """The data is not installed or not downloaded."""


class CorruptData(DatasetError):
    """The bytes or rows differ from the pinned ones."""


class MissingOutcome(DatasetError):
    """A full-information table has a hole."""
