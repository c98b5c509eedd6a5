-- Times come from exports in different zones; a zone forgotten would turn some of these around.
select delays.delay_id
from {{ ref('shipment_delays') }} as delays
join {{ ref('shipments') }} as shipments using (shipment_id)
where delays.detected_at <= shipments.booked_at or delays.arrived_at <= delays.detected_at
