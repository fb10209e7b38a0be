"""`driftd demo`: the daemon on an embedded broker, with a real model's traffic that is known to drift."""
