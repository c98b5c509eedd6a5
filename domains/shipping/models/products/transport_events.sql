select
    event_id,
    shipment_id,
    event_type,
    classifier,
    event_at,
    created_at,
    location,
    waterway,
    delay_code,
    cause
from {{ ref('stg_transport_events') }}
