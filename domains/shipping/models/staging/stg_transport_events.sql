-- Messages in the manner of DCSA Track & Trace: duplicates, retractions and what they retract are gone.
with messages as (
    select distinct
        {{ code('eventID') }} as event_id,
        {{ code('shipmentReference') }} as shipment_id,
        {{ code('transportEventTypeCode') }} as event_type,
        {{ code('eventClassifierCode') }} as classifier,
        strptime(eventDateTime, '%Y-%m-%dT%H:%MZ') as event_at,
        strptime(eventCreatedDateTime, '%Y-%m-%dT%H:%MZ') as created_at,
        {{ code('UNLocationCode') }} as location,
        {{ name_code('waterway') }} as waterway,
        {{ code('delayReasonCode') }} as delay_code,
        lower(trim(changeRemark)) as cause,
        {{ code('retractedEventID') }} as retracted_event_id
    from read_json(
        'sources/events/*.jsonl.gz',
        format = 'newline_delimited',
        columns = {
            eventID: 'VARCHAR', eventCreatedDateTime: 'VARCHAR', eventClassifierCode: 'VARCHAR',
            transportEventTypeCode: 'VARCHAR', eventDateTime: 'VARCHAR', shipmentReference: 'VARCHAR',
            UNLocationCode: 'VARCHAR', delayReasonCode: 'VARCHAR', changeRemark: 'VARCHAR', waterway: 'VARCHAR',
            retractedEventID: 'VARCHAR'
        }
    )
)

select * exclude (retracted_event_id)
from messages
where retracted_event_id is null
    and event_id not in (select retracted_event_id from messages where retracted_event_id is not null)
