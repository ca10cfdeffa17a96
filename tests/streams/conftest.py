"""The Redis of a test."""

from ..support.redis import redis as redis
