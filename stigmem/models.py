"""The models of the client under the name that the published client gives their module; see `stigmem.client`."""

from stigmem.client.models import *  # noqa: F403 - the names are those of the other module
