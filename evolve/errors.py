"""The errors that Evolve raises on purpose; each says what, where, the value and the remedy.

EvolveError                   anything a user can act on; the CLI prints its text as one line
├── UsageError                wrong words on the command line or in the configuration (exit code 2)
├── ProblemError              a problem folder or its files are wrong (raised while loading)
├── EvaluatorError            the problem's own evaluator.py raised or broke its contract
├── RunError                  a run directory or its state does not allow what was asked
│   └── LeaseLost             another runner holds the run; never retried
├── StoreError                the population database is gone, full, locked or of another version
└── ProviderError             an LLM call failed
    ├── TransientError        rate limit, time-out, server fault; the runner retries it
    └── FatalError            wrong key, unknown model; stops the run at once
"""


class EvolveError(Exception):
    """Base of every error with a message meant for the user."""


class UsageError(EvolveError):
    """Raised by the CLI and `evolve.config` for words that mean nothing."""


class ProblemError(EvolveError):
    """Raised by `evolve.loading.load_problem`."""


class EvaluatorError(EvolveError):
    """Raised when a problem's evaluator.py is at fault; never charged to a candidate."""


class RunError(EvolveError):
    """Raised by the runner and the lineage side for a run that is missing, taken or changed."""


class LeaseLost(RunError):
    """Raised by the writer when its lease was taken over; nothing more is written."""


class StoreError(EvolveError):
    """Raised by the population database."""


class ProviderError(EvolveError):
    """Raised by a provider for a call that brought no completion."""


class TransientError(ProviderError):
    """Raised for faults that pass: rate limits, time-outs, 5xx. Retried by the runner with back-off.

    `retry_after_s` is what the provider asked for, if it did; `may_be_billed` says that the attempt may cost money although
    it brought nothing: its reserve is then counted as spent.
    """

    def __init__(self, message: str, retry_after_s: float | None = None, may_be_billed: bool = False):
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.may_be_billed = may_be_billed


class FatalError(ProviderError):
    """Raised for faults that no retry mends: a missing key, an unknown model."""
