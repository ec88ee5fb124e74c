"""JSON Web Tokens of the caller's own issuer.

The algorithm is the configured key's, never the token's own word: a token that asks for another is
refused (RFC 8725, 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import jwt

from recsys_pipeline.errors import SettingsError

if TYPE_CHECKING:
    from recsys_pipeline.settings import Settings

_JWKS_SECONDS = 300
_SECONDS = 5


@dataclass(frozen=True)
class Token:
    """What a token that was found good says.

    Attributes:
        subject: Who it was made for.
        tenant: Whose rows it reaches.
        scopes: What it may do.
    """

    subject: str
    tenant: str
    scopes: frozenset[str]


def check_token_settings(settings: Settings) -> None:
    """Check that the settings of tokens go together.

    Raises:
        SettingsError: One is missing, or contradicts another.
    """
    keys = (settings.api_jwt_key, settings.api_jwt_jwks_url)
    if settings.api_jwt_algorithm is None:
        if any(keys):
            raise SettingsError(
                "RECSYS_API_JWT_ALGORITHM", "is missing", "Set RS256 or HS256 beside the key"
            )
        return
    if sum(key is not None for key in keys) != 1:
        raise SettingsError(
            "RECSYS_API_JWT_KEY",
            "and RECSYS_API_JWT_JWKS_URL are both set or both missing",
            "Set one of them",
        )
    if not settings.api_jwt_audience:
        raise SettingsError("RECSYS_API_JWT_AUDIENCE", "is missing", "Set what tokens are for")
    if settings.api_jwt_algorithm == "HS256" and settings.api_jwt_jwks_url:
        raise SettingsError(
            "RECSYS_API_JWT_JWKS_URL", "publishes a shared secret with HS256", "Use RS256"
        )


def read_token(settings: Settings, text: str) -> Token | None:
    """Return what a token says; None when it is none, expired, or not for us."""
    if settings.api_jwt_algorithm is None:
        return None
    try:
        claims: dict[str, Any] = jwt.decode(
            text,
            _key(settings, text),
            algorithms=[settings.api_jwt_algorithm],
            audience=settings.api_jwt_audience,
            issuer=settings.api_jwt_issuer,
            options={"require": ["exp", "aud"]},
        )
    except (jwt.PyJWTError, ValueError):
        return None
    scopes = claims.get("scope", claims.get("scopes", ""))
    listed = scopes.split() if isinstance(scopes, str) else scopes
    tenant = claims.get("tenant")
    if not isinstance(tenant, str) or not isinstance(listed, list):
        return None
    return Token(str(claims.get("sub", "token")), tenant, frozenset(map(str, listed)))


def _key(settings: Settings, text: str) -> Any:  # noqa: ANN401  # a secret or a public key
    if settings.api_jwt_jwks_url:
        # an unknown key id makes it ask again: keys may be rotated
        return _jwks(settings.api_jwt_jwks_url).get_signing_key_from_jwt(text).key
    assert settings.api_jwt_key is not None  # noqa: S101  # check_token_settings
    return settings.api_jwt_key.get_secret_value()


@cache
def _jwks(url: str) -> jwt.PyJWKClient:
    return jwt.PyJWKClient(url, lifespan=_JWKS_SECONDS, timeout=_SECONDS)
