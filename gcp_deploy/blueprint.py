"""All parts of a deployment, in the order in which they can be made."""

from __future__ import annotations

from gcp_deploy.access import Cloud
from gcp_deploy.accounts import account_parts
from gcp_deploy.apis import ApisPart
from gcp_deploy.buckets import bucket_parts
from gcp_deploy.naming import check
from gcp_deploy.network import network_parts
from gcp_deploy.parts import Part
from gcp_deploy.template import TemplatePart


def blueprint(cloud: Cloud) -> list[Part]:
    """APIs, buckets, accounts and roles, network, template. Raises ConfigError for names that cannot be."""
    check(cloud.gcp)
    return [
        ApisPart(cloud),
        *bucket_parts(cloud),
        *account_parts(cloud),
        *network_parts(cloud),
        TemplatePart(cloud),
    ]
