select
    resolution_id,
    shipment_id,
    decided_at,
    action_code,
    cost_usd,
    settled_at,
    decided_by,
    note
from {{ ref('stg_resolutions') }}
