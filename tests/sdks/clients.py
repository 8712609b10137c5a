"""The real SDKs, each with its hook in the one line that its users write."""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

MESSAGES = [{"role": "user", "content": "hi"}]

CHAT = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "hi"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
MESSAGE = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
V2 = {
    "id": "x",
    "finish_reason": "COMPLETE",
    "message": {"role": "assistant", "content": [{"type": "text", "text": "hi"}]},
}
GENERATED = {
    "candidates": [
        {"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}
    ]
}


def httpx_client(breaker: Any, library: str = "httpx") -> Any:
    from breaker.http.httpx import Transport

    return importlib.import_module(library).Client(transport=Transport(breaker))


def openai(breaker: Any, url: str) -> Callable[[], Any]:
    from openai import OpenAI

    client = OpenAI(api_key="k", base_url=url, http_client=httpx_client(breaker))
    return lambda: client.chat.completions.create(model="m", messages=MESSAGES)


def openai_httpx2(breaker: Any, url: str) -> Callable[[], Any]:
    from openai import OpenAI

    client = OpenAI(api_key="k", base_url=url, http_client=httpx_client(breaker, "httpx2"))
    return lambda: client.chat.completions.create(model="m", messages=MESSAGES)


def anthropic(breaker: Any, url: str) -> Callable[[], Any]:
    from anthropic import Anthropic

    http = httpx_client(breaker, "httpx2")
    client = Anthropic(api_key="k", base_url=url, http_client=http)
    return lambda: client.messages.create(model="m", max_tokens=5, messages=MESSAGES)


def together(breaker: Any, url: str) -> Callable[[], Any]:
    from together import Together

    client = Together(api_key="k", base_url=url, http_client=httpx_client(breaker))
    return lambda: client.chat.completions.create(model="m", messages=MESSAGES)


def groq(breaker: Any, url: str) -> Callable[[], Any]:
    from groq import Groq

    client = Groq(api_key="k", base_url=url, http_client=httpx_client(breaker))
    return lambda: client.chat.completions.create(model="m", messages=MESSAGES)


def mistralai(breaker: Any, url: str) -> Callable[[], Any]:
    from mistralai.client import Mistral

    client = Mistral(api_key="k", server_url=url, client=httpx_client(breaker, "httpx2"))
    return lambda: client.chat.complete(model="m", messages=MESSAGES)


def cohere(breaker: Any, url: str) -> Callable[[], Any]:
    from cohere import ClientV2

    # It would sleep for up to a minute inside of the call, whatever the answer's other headers say.
    http = httpx_client(breaker)
    client = ClientV2(api_key="k", base_url=url, httpx_client=http, max_retries=0)
    return lambda: client.chat(model="m", messages=MESSAGES)


def genai(breaker: Any, url: str) -> Callable[[], Any]:
    from google.genai import Client
    from google.genai.types import HttpOptions

    options = HttpOptions(base_url=url, httpx_client=httpx_client(breaker, "httpx2"))
    client = Client(api_key="k", http_options=options)
    return lambda: client.models.generate_content(model="m", contents="hi")


class Sdk(NamedTuple):
    """One SDK: how to make a call of it, what answers it, how often it sends a 429's request."""

    make: Callable[[Any, str], Callable[[], Any]]
    answer: dict[str, Any]
    requests: int
    error: str


SDKS = {
    "openai": Sdk(openai, CHAT, 3, "RateLimitError"),
    "openai with httpx2": Sdk(openai_httpx2, CHAT, 3, "RateLimitError"),
    "anthropic": Sdk(anthropic, MESSAGE, 3, "RateLimitError"),
    "together": Sdk(together, CHAT, 3, "RateLimitError"),
    "groq": Sdk(groq, CHAT, 3, "RateLimitError"),
    "mistralai": Sdk(mistralai, CHAT, 1, "SDKError"),
    "cohere": Sdk(cohere, V2, 1, "TooManyRequestsError"),
    "google-genai": Sdk(genai, GENERATED, 1, "ClientError"),
}
