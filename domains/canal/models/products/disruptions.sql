select
    disruption_id,
    waterway,
    started_at,
    ended_at,
    kind,
    severity,
    transit_capacity_percent,
    title,
    citation_title,
    citation_url,
    citation_publisher,
    cited_at
from {{ ref('stg_disruptions') }}
