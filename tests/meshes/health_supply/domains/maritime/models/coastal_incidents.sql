-- Great circles by the haversine formula; a band of 200 minutes of latitude (and a little) keeps the join small.
with distances as (
    select
        incidents.reference,
        ports.country,
        incidents.occurred_on,
        ports.port_number,
        ports.name as port_name,
        incidents.aggressor,
        incidents.victim,
        2 * 3440.065 * asin(sqrt(
            sin(radians(incidents.latitude - ports.latitude) / 2) ** 2
            + cos(radians(incidents.latitude)) * cos(radians(ports.latitude))
            * sin(radians(incidents.longitude - ports.longitude) / 2) ** 2
        )) as distance
    from {{ ref('incidents') }} as incidents
    inner join {{ ref('ports') }} as ports
        on incidents.latitude between ports.latitude - 3.4 and ports.latitude + 3.4
)

select
    reference,
    country,
    occurred_on,
    port_number,
    port_name,
    distance::decimal(5, 1) as distance_nm,
    aggressor,
    victim
from distances
where distance <= 200
qualify row_number() over (partition by reference order by distance, port_number) = 1
