"""What providers call a rate limit, an overload and an exhausted quota: the tables as data.

Codes are compared whole and in lower case, never as parts of a text: Cerebras calls a limit of
tokens a minute `token_quota_exceeded`. Sources and versions: `docs/http.md`.
"""

import re

# -- codes

QUOTA_CODES = frozenset(
    {
        # OpenAI
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
        # Moonshot
        "exceeded_current_quota_error",
        # Anthropic
        "billing_error",
        "enforced_spend_limit_reached",
        "contract_spend_limit_reached",
        "linked_organization_spend_limit_reached",
        # AWS, Google, X, others
        "servicequotaexceededexception",
        "quota_exceeded",
        "quotaexceeded",
        "dailylimitexceeded",
        "usagecapexceeded",
    }
)

# Words too common to be looked for anywhere: only under one key.
QUOTA_CODES_BY_KEY = frozenset({("policyname", "daily"), ("rate_limit_type", "budget")})

# Salesforce: an allotment of the day, or (by its text) calls at the same time.
SALESFORCE_CODE = "request_limit_exceeded"

OVERLOAD_CODES = frozenset(
    {
        "overloaded_error",
        "server_is_overloaded",
        "engine_overloaded_error",
        "capacity_exceeded",
        "service_tier_capacity_exceeded",
        "serviceunavailableexception",
        "modelnotreadyexception",
        "backenderror",
        "es_rejected_execution_exception",
    }
)

# botocore's list too, but for LimitExceededException, TransactionInProgressException and
# PriorRequestNotComplete: in most services a cap on resources, or a conflict.
AWS_CODES = frozenset(
    {
        "throttling",
        "throttlingexception",
        "throttledexception",
        "requestthrottled",
        "requestthrottledexception",
        "toomanyrequestsexception",
        "slowdown",
        "provisionedthroughputexceededexception",
        "requestlimitexceeded",
        "bandwidthlimitexceeded",
        "ec2throttledexception",
    }
)

RATE_LIMIT_CODES = AWS_CODES | {
    "rate_limit",
    "rate_limit_exceeded",
    "rate_limit_error",
    "rate_limited",
    "ratelimited",
    "ratelimit",
    "too_many_requests",
    "slow_down",
    "ramp_limit_exceeded",
    "dynamic_request_limited",
    "dynamic_token_limited",
    "rate_limit_reached_error",
    "ratelimitexceeded",
    "userratelimitexceeded",
    "throttled",
    "over_query_limit",  # Google Maps
}

# gRPC's and Google's; also a message that is too large and a GPU that is full.
RESOURCE_EXHAUSTED = "resource_exhausted"

NEVER_CODES = frozenset({"card_error"})  # one customer's card (Stripe)
TOO_BIG_CODES = frozenset({"max_cost_exceeded"})  # one query (Shopify)

# What a code may stand under in a body, in lower case.
CODE_KEYS = frozenset(
    {
        "code",
        "type",
        "type_",
        "__type",
        "error_type",
        "errortype",
        "error_code",
        "errorcode",
        "status",
        "reason",
        "policyname",
        "title",
        "error",
    }
)
# What an upstream echoes of the request says nothing about its limits.
ECHO_KEYS = frozenset(
    {"input", "inputs", "prompt", "messages", "request", "params", "parameters"}
)

CODE_ATTRIBUTES = ("code", "type", "error_code", "error_type", "rate_limit_type")

# -- statuses

TOO_LARGE = 413
TEAPOT = 418  # Binance: banned for having gone on after 429s
RATE_LIMIT_STATUSES = frozenset({429, 420})
OVERLOAD_STATUSES = frozenset({529, 498})
QUOTA_PHRASE_STATUSES = frozenset({None, 400, 402, 403, 422, 429})
# A 400 or a text alone may be about the balance of one customer of the caller's.
BALANCE_STATUSES = frozenset({402, 403, 422, 429})
RATE_LIMIT_CODE_STATUSES = frozenset({None, 200, 400, 403, 418, 420, 429, 503})

STATUS_ATTRIBUTES = ("status_code", "http_status", "status", "response_code")
RESPONSE_STATUS_ATTRIBUTES = (*STATUS_ATTRIBUTES, "code")

# -- class names

# Classes whose integer `code` is an HTTP status.
HTTP_CLASS = re.compile(
    r"HTTP|Http|API|Api|(?:Client|Server|Response|Status)(?:Response|Call)?Error"
    r"|TooManyRequests|ResourceExhausted|ServiceUnavailable|RateLimit|Flood"
)
RATE_LIMIT_CLASS = re.compile(
    r"Rate_?Limit(?!er|\w*(?:Config|Setting|Valid|Pars))"
    r"|TooManyRequests|\w*Throttl\w*(?:Exception|Error)$|RetryAfter|FloodWait|DDoSProtection$"
)
NEVER_CLASS = re.compile(r"CardError$")

# -- phrases


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


TOO_BIG = _any(
    r"request too large",
    r"message larger than max",
    r"out of memory",
    r"\bOOM\b",
)
QUOTA = _any(
    r"credit balance is too low",
    r"reached your specified (?:workspace )?API usage limits",
    r"requires more credits",
)
# Also what an exchange or a bank says of one order.
BALANCE = _any(r"insufficient (?:account )?balance", r"credit limit exceeded")
# Google's: a window of a day, or a tier without access to the model.
GOOGLE_QUOTA = re.compile(r"PerDay|\blimit: 0\b(?![.\d])")
OVERLOADED = _any(r"overloaded", r"experiencing high demand", r"capacity exceeded")
EMBEDDED_OVERLOAD = re.compile(r"\boverloaded_error\b")
FORBIDDEN_LIMIT = _any(r"API rate limit exceeded", r"secondary rate limit")
BANNED = _any(r"\bbanned until\b", r"too many requests", r"too much (?:request )?weight")
SECONDARY = _any(r"secondary rate limit")
CONCURRENCY = _any(r"concurren")
LONG_WINDOW = _any(
    r"\bdaily\b",
    r"\bmonthly\b",
    r"\bper[ -](?:day|month)\b",
    r"/ ?(?:day|month)\b",
    r"\b[TR]PD\b",
)
SHORT_WINDOW = _any(
    r"\b(?:per|a|every|each)[ -](?:second|sec|minute|min|hour)\b",
    r"/ ?(?:s|sec|second|m|min|minute|h|hour)\b",
    r"\b[TRQ]P[MSH]\b",
    r"\bhourly\b",
    r"\bPer(?:Second|Minute|Hour)",
)
TOKENS = _any(
    r"\btokens? per\b", r"\bTP[MDS]\b", r"\btoo many tokens\b", r"\btoken rate limit\b"
)
REQUESTS = _any(r"\brequests? per\b", r"\bRP[MDS]\b", r"\brequest rate\b")
SCOPE_CODES = {
    "requests": "requests",
    "dynamic_request_limited": "requests",
    "tokens": "tokens",
    "dynamic_token_limited": "tokens",
    "20429": "concurrency",
    "concurrentinvocationlimitexceeded": "concurrency",
}

# -- errors that have lost all but their text

# Errors of these builtin types are bugs, and quote what they met.
QUOTING = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    NameError,
    ImportError,
    AssertionError,
    ArithmeticError,
    SyntaxError,
)
# So does an error about what could not be read.
QUOTES = _any(
    r"(?:could not|couldn't|cannot|can't|failed to|unable to) (?:parse|decode|import)",
    r"has no attribute",
    r"is not defined",
)

_REASON = r"(?:Too Many Requests|Client Error|Server Error|RESOURCE_EXHAUSTED|I'm a teapot)"
# A status in a text, by the words around it; the first one counts.
TEXT_STATUS = _any(
    r"\bError code: ?(\d{3})\b",
    r"\bstatus[_ -]?code[\"']?\s*(?:[:=]|is|of)?\s*(\d{3})\b",
    r"\b(?:status:|error occurred: status) ?(\d{3})\b",
    r"\bHTTP(?:/\d(?:\.\d)?)?(?: error| status| code)?[ :]+(\d{3})\b(?!\d|-)",
    r"\b(?:client|server) error '(\d{3})\b",
    rf"(?<![\w.])(\d{{3}}),? {_REASON}",
    r"\btoo many (\d{3}) error responses",
    r"\b(\d{3}) HTTP response\b",
    r"^\((\d{3})\)",
    r"^(\d{3})[,:]",
    r"\b(\d{3}) status code \(no body\)",
)
# A code in a text: in a dict or in JSON as it was printed, or in parentheses (AWS).
TEXT_CODE = re.compile(
    r"[\"'](?:code|type|error_type|error_code|errorCode|status|reason|error|Code)[\"']: ?"
    r"[\"']([\w.]{3,60})[\"']"
    r"|\(([A-Z]\w{4,60})\)"
    r"|\b(insufficient_quota|overloaded_error|RESOURCE_EXHAUSTED)\b"
)
TEXT_RATE_LIMIT = _any(
    r"\btoo[ _]many[ _]requests\b",
    r"\brate[ -]?limit(?:s|ed)? (?:was |has been |is )?(?:exceeded|reached|hit)\b",
    r"\bexceeded (?:[\w']+ ){1,3}rate limit\b",
    r"^RATELIMIT:",
    r"\brate[ -]?limit error\b",
    r"\bratelimited\b",
    r"\bbeing rate[ -]?limited\b",
    r"(?:^|[\s.'\"<(])(?:RateLimitError|TooManyRequestsError|TooManyRequests|ThrottlingException)"
    r"(?=[\s:('\">]|$)",
)
TEXT_OVERLOAD = _any(r"(?:^|[\s.'\"<(])OverloadedError\b", r"\bserver is overloaded\b")

# -- waits

MILLISECOND_HEADERS = ("retry-after-ms", "x-ms-retry-after-ms", "x-amz-retry-after")
WAIT_ATTRIBUTES = (
    "retry_after",
    "retry_after_seconds",
    "retry_after_secs",
    "retryAfter",
    "cooldown_time",
    "backoff",
)
# In a body, in lower case, without underscores.
WAIT_KEYS = frozenset({"retryafter", "retryafterseconds", "retryaftersecs", "retrydelay"})
MILLISECOND_KEYS = frozenset({"retryafterms", "retryaftermillis", "retryaftermilliseconds"})
