"""served: a model that others run and we ask over the network, through an OpenAI-compatible API.

    models:
      teacher:
        endpoint: {url: https://..., model: ..., key: OPENAI_API_KEY, price: ..., ...}

The declaration names the environment variable that holds the key, never the key. What is declared
is written to build/models/<name>/endpoint.json, so that every model is a folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from residency.files import read_json, write_json
from residency.section import Section

FILE = "endpoint.json"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
CURRENCY = r"^[A-Z]{3}$"


def _plain(url: str) -> str:
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known or not url.isascii() or any(each.isspace() for each in url):
        raise ValueError("expected an address such as https://api.openai.com/v1")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError(
            "expected an address without user, password, ? and #: "
            "a key belongs into an environment variable, which `key` names"
        )
    return url.rstrip("/")


class Price(Section):
    """What a service takes."""

    currency: str = Field(pattern=CURRENCY, description="Its code, such as USD or EUR.")
    prompt: float = Field(ge=0, description="For a million tokens of prompts.")
    reply: float = Field(ge=0, description="For a million tokens of replies.")


class Endpoint(Section):
    """Where a served model is asked, and how."""

    url: Annotated[str, AfterValidator(_plain)] = Field(
        description="Address of the API, up to and with its version; /chat/completions is added."
    )
    model: str = Field(min_length=1, description="Which of the server's models.")
    key: Annotated[str, Field(pattern=VARIABLE, max_length=64)] | None = Field(
        description="Name of the environment variable with the API key; null sends none."
    )
    price: Price | None = Field(description="What it takes; null: nothing.")
    format: Literal["schema", "object", "text"] = Field(
        description="How the server is told the JSON schema of a reply: response_format "
        "json_schema (OpenAI, vLLM, llama.cpp), json_object with the schema in it "
        "(llama-cpp-python), or only in the prompt."
    )
    limit: Literal["max_tokens", "max_completion_tokens"] = Field(
        description="What the server calls the most tokens of a reply; OpenAI's reasoning models "
        "take max_completion_tokens."
    )
    temperature: Literal["told", "own"] = Field(
        description="Whether the server is told a request's temperature or takes its own, as "
        "OpenAI's reasoning models insist on."
    )


def write_endpoint(endpoint: Endpoint, model: Path) -> None:
    """Make a model's folder one of a served model."""
    write_json(model / FILE, endpoint.canonical())


def endpoint(model: Path) -> Endpoint | None:
    """Where the model of a folder is served; None where its weights are in the folder."""
    path = model / FILE
    return Endpoint.model_validate(read_json(path)) if path.is_file() else None
