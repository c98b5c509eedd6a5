-- A delay begins with the first estimate of an arrival that gives a reason. It is measured against the plan that was
-- valid then (a change of plan is not a delay) and ends with the actual arrival at the same place.
with arrivals as (
    select * from {{ ref('transport_events') }} where event_type = 'ARRI'
),

detected as (
    select * from arrivals
    where classifier = 'EST' and delay_code is not null
    qualify row_number() over (partition by shipment_id, location order by created_at, event_id) = 1
),

planned as (
    select detected.event_id, plans.event_at as planned_at
    from detected
    join arrivals as plans
        on plans.shipment_id = detected.shipment_id
        and plans.location = detected.location
        and plans.classifier = 'PLN'
        and plans.created_at <= detected.created_at
    qualify row_number() over (partition by detected.event_id order by plans.created_at desc, plans.event_id desc) = 1
),

arrived as (
    select shipment_id, location, event_at as arrived_at
    from arrivals
    where classifier = 'ACT'
    qualify row_number() over (partition by shipment_id, location order by created_at, event_id) = 1
)

select
    format(
        'DLY-{}-{}',
        substr(detected.shipment_id, 5),
        row_number() over (partition by detected.shipment_id order by detected.created_at, detected.event_id)
    ) as delay_id,
    detected.shipment_id,
    detected.waterway,
    detected.location,
    detected.created_at as detected_at,
    planned.planned_at,
    {{ hours_between('planned.planned_at', 'detected.event_at') }} as expected_delay_hours,
    detected.delay_code,
    detected.cause,
    arrived.arrived_at,
    {{ hours_between('planned.planned_at', 'arrived.arrived_at') }} as final_delay_hours
from detected
join planned using (event_id)
join {{ ref('shipments') }} as shipments on shipments.shipment_id = detected.shipment_id
left join arrived on arrived.shipment_id = detected.shipment_id and arrived.location = detected.location
