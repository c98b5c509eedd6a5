select
    advisory_id,
    disruption_id,
    waterway,
    issued_at,
    authority_number,
    issuer,
    headline,
    text,
    citation_url
from {{ ref('stg_advisories') }}
