"""Which release this is: in one place, for the package, the command and the documents it writes."""

VERSION = "0.1.0"
