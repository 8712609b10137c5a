"""What the API takes and answers. `Status` and `Transition` of `breaker.model` are answered as they are."""

from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from breaker.model import Status
from breaker.settings import NAME_LENGTH

By = Annotated[str, Field(max_length=500, description="Who decided it, for the history.")]
Reason = Annotated[str, Field(max_length=500, description="Why, for the history.")]
PermitText = Annotated[
    str | None,
    Field(description="The permit that `check?wait=` gave for this job."),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


class RateLimitErrorReport(_Body):
    """The upstream said "slow down". Nothing here is refused for its form: the fact counts."""

    error_id: Any = Field(
        default=None,
        description="An id for this failure. Reported again under the same id within 60 s, "
        "whatever worker sends it, it counts once. A request with one may be sent again.",
        examples=["content:job-17:1"],
    )
    retry_after: Any = Field(
        default=None,
        description="Seconds, or the text of the Retry-After header.",
        examples=[30],
    )
    kind: Literal["rate_limit", "overload", "quota"] = Field(
        default="rate_limit", description="`quota` pauses at once, for `quota_pause` seconds."
    )
    permit: PermitText = None


class SuccessReport(_Body):
    """A job went through."""

    permit: PermitText = None


class Order(_Body):
    """Who decided it, and why."""

    reason: Reason = ""
    by: By = ""


class PauseOrder(Order):
    """Stop the queue."""

    seconds: float | None = Field(
        default=None, gt=0, le=31_622_400, description="For how long; without it until resumed."
    )


class SettingsChange(_Body):
    """Options to override; null removes an override."""

    threshold: int | None = None
    cooldown: float | None = None
    max_cooldown: float | None = None
    recovery: Literal["pace", "probe", "resume"] | None = None
    mode: Literal["enforce", "shadow"] | None = None
    min_workers: int | None = None
    forget_after: float | None = None
    probe_lease: float | None = None
    quota_pause: float | None = None
    idle_ttl: float | None = None
    pace_from: float | None = None
    by: By = ""


class Check(BaseModel):
    """Whether a worker may take a job from the queue."""

    paused: bool
    resumes_in: float | None = Field(
        default=None,
        description="Seconds until it is worth asking again; null: an operator decides.",
    )
    permit: str | None = Field(
        default=None,
        description="With `wait`: leave for one job. Send it with the job's report.",
    )


class Breakers(BaseModel):
    """All breakers, in the order of their names."""

    breakers: list[Status]
    unreadable: dict[str, str] = Field(description="Breakers that could not be read, and why.")


# As the description has it; the path is decoded, and the name checked, by the route.
_NAME = {"minLength": 1, "maxLength": NAME_LENGTH, "pattern": r"^[^{}\x00-\x1f\x7f-\xa0\xad]+$"}

Name = Annotated[
    str,
    Path(
        description="The breaker's name, percent-encoded; a slash too.",
        examples=["content"],
        json_schema_extra=_NAME,
    ),
]
Wait = Annotated[
    float | None,
    Query(
        ge=0,
        le=60,
        description="Wait for leave to take one job, for at most this many seconds. Without it "
        "the answer comes at once and takes no place in a recovering queue.",
    ),
]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many of the latest entries.")]
