"""What the local data factory knows of definitions, as data; what is not here is refused.

Each shape names the properties that a type must have, those that it may have and that are obeyed,
and those that only tune performance or describe, which are let pass and have no effect here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Shape:
    """The properties of one type.

    Attributes:
        needs: properties that must be there.
        obeys: optional properties that are honoured.
        ignores: optional properties without influence on the result.
        off: properties of what is not done here, with the value that switches it off; no other
            value is taken.
    """

    needs: frozenset[str] = frozenset()
    obeys: frozenset[str] = frozenset()
    ignores: frozenset[str] = frozenset()
    off: Mapping[str, Any] = field(default_factory=dict)

    @property
    def known(self) -> frozenset[str]:
        """All properties that may be there."""
        return self.needs | self.obeys | self.ignores | self.off.keys()


def _shape(needs: str = "", obeys: str = "", ignores: str = "", **off: Any) -> Shape:
    return Shape(
        frozenset(needs.split()), frozenset(obeys.split()), frozenset(ignores.split()), off
    )


PIPELINE = _shape(
    "activities",
    "parameters variables concurrency",
    "description annotations folder policy lastPublishTime lastModifiedByObjectId",
)
ACTIVITY = _shape(
    "name type",
    "typeProperties dependsOn policy inputs outputs state onInactiveMarkAs",
    "description userProperties",
)
POLICY = _shape("", "timeout retry retryIntervalInSeconds secureInput secureOutput")
# Studio writes the whole policy into control activities, too; there it has no meaning.
CONTROL_POLICY = _shape("", "secureInput secureOutput", "timeout retry retryIntervalInSeconds")
DATASET = _shape(
    "type linkedServiceName typeProperties", "parameters", "annotations schema folder description"
)
LINKED_SERVICE = _shape(
    "type typeProperties", "parameters version", "annotations connectVia description"
)
TRIGGER = _shape(
    "type typeProperties", "pipeline pipelines runtimeState", "annotations description"
)

EXECUTION_ACTIVITIES = {
    "Copy": _shape(
        "source sink",
        "translator enableSkipIncompatibleRow parallelCopies",
        "dataIntegrationUnits",
        enableStaging=False,
        validateDataConsistency=False,
    ),
    "Lookup": _shape("source dataset", "firstRowOnly"),
    "GetMetadata": _shape("dataset fieldList", "", "storeSettings formatSettings"),
    "WebActivity": _shape(
        "url method",
        "headers body authentication httpRequestTimeout turnOffAsync",
        "connectVia",
        datasets=[],
        linkedServices=[],
        disableCertValidation=False,
    ),
    "Delete": _shape("dataset", "storeSettings", "maxConcurrentConnections", enableLogging=False),
}
CONTROL_ACTIVITIES = {
    "ExecutePipeline": _shape("pipeline", "parameters waitOnCompletion"),
    "Fail": _shape("message errorCode"),
    "Filter": _shape("items condition"),
    "ForEach": _shape("items activities", "isSequential batchCount"),
    "IfCondition": _shape("expression", "ifTrueActivities ifFalseActivities"),
    "SetVariable": _shape("variableName value", "setSystemVariable"),
    "AppendVariable": _shape("variableName value"),
    "Switch": _shape("on", "cases defaultActivities"),
    "Until": _shape("expression activities", "timeout"),
    "Wait": _shape("waitTimeInSeconds"),
}
ACTIVITIES = EXECUTION_ACTIVITIES | CONTROL_ACTIVITIES

DATASETS = {
    "DelimitedText": _shape(
        "location",
        "columnDelimiter encodingName compressionCodec escapeChar quoteChar firstRowAsHeader "
        "nullValue",
        "compressionLevel",
    ),
    "Json": _shape("location", "encodingName compression"),
    "Parquet": _shape("location", "compressionCodec"),
    "Binary": _shape("location"),
    "AzurePostgreSqlTable": _shape("", "schema table"),
    "PostgreSqlV2Table": _shape("", "schema table"),
    "AzureSqlTable": _shape("", "schema table"),
    "RestResource": _shape("", "relativeUrl"),
}
LOCATIONS = {
    "AzureBlobFSLocation": _shape("type fileSystem", "folderPath fileName"),
    "AzureBlobStorageLocation": _shape("type container", "folderPath fileName"),
    "HttpServerLocation": _shape("type", "relativeUrl"),
}
_POSTGRES = (
    "port username password sslMode sslmode authenticationType connectionTimeout commandTimeout "
    "timezone trustServerCertificate schema"
)
_POSTGRES_TUNING = "pooling readBufferSize logParameters encoding encryptedCredential"
_ENTRA = (
    "tenant servicePrincipalId servicePrincipalCredentialType servicePrincipalKey "
    "servicePrincipalEmbeddedCert servicePrincipalEmbeddedCertPassword azureCloudType credential"
)
_HTTP = (
    "url",
    "authenticationType userName password authHeaders enableServerCertificateValidation ",
)
LINKED_SERVICES = {
    "AzureBlobFS": _shape("url", "accountKey"),
    # Azure takes a signature or an identity too; here it is a connection string with the key.
    "AzureBlobStorage": _shape("connectionString", "", "accountKind encryptedCredential"),
    "AzureKeyVault": _shape("baseUrl"),
    "AzurePostgreSql": _shape("server database", f"{_POSTGRES} {_ENTRA}", _POSTGRES_TUNING),
    "PostgreSqlV2": _shape("server database username", _POSTGRES, _POSTGRES_TUNING),
    "AzureSqlDatabase": _shape(
        "",
        f"server database connectionString authenticationType userName password {_ENTRA}",
        "encrypt trustServerCertificate hostNameInCertificate connectTimeout commandTimeout "
        "applicationIntent pooling maxPoolSize minPoolSize multiSubnetFailover "
        "connectRetryCount connectRetryInterval loadBalanceTimeout packetSize encryptedCredential",
    ),
    "RestService": _shape(
        _HTTP[0],
        _HTTP[1] + f"clientId clientSecret tokenEndpoint scope resource aadResourceId {_ENTRA}",
        "encryptedCredential",
    ),
    "HttpServer": _shape(*_HTTP, "encryptedCredential"),
}
# The kinds of authentication of a linked service that can be deployed; the first is the default.
AUTHENTICATIONS = {
    "AzurePostgreSql": ("Basic", "ServicePrincipal", "SystemAssignedManagedIdentity",
                        "UserAssignedManagedIdentity"),
    "PostgreSqlV2": ("Basic",),
    "AzureSqlDatabase": ("SQL", "ServicePrincipal", "SystemAssignedManagedIdentity",
                         "UserAssignedManagedIdentity"),
    "RestService": ("Anonymous", "Basic", "OAuth2ClientCredential", "AadServicePrincipal",
                    "ManagedServiceIdentity"),
    "HttpServer": ("Anonymous", "Basic"),
}  # fmt: skip
SECRETS = ("accountKey", "password", "clientSecret", "servicePrincipalKey")
SECURE_STRING = _shape("type value")
VAULT_SECRET = _shape("type store secretName", "secretVersion")
_FILE_SOURCE = _shape(
    "type", "additionalColumns storeSettings formatSettings sourceRetryCount sourceRetryWait"
)
SOURCES = {
    "DelimitedTextSource": _FILE_SOURCE,
    "JsonSource": _FILE_SOURCE,
    "ParquetSource": _FILE_SOURCE,
    "BinarySource": _shape("type", "storeSettings formatSettings sourceRetryCount sourceRetryWait"),
    "AzurePostgreSqlSource": _shape(
        "type",
        "query queryTimeout partitionOption partitionSettings additionalColumns",
        "maxConcurrentConnections",
    ),
    "PostgreSqlV2Source": _shape(
        "type", "query queryTimeout additionalColumns", "maxConcurrentConnections"
    ),
    "AzureSqlSource": _shape(
        "type",
        "sqlReaderQuery sqlReaderStoredProcedureName storedProcedureParameters queryTimeout "
        "isolationLevel partitionOption partitionSettings additionalColumns",
        "maxConcurrentConnections",
    ),
    "RestSource": _shape(
        "type",
        "requestMethod requestBody additionalHeaders paginationRules httpRequestTimeout "
        "requestInterval sourceRetryCount sourceRetryWait additionalColumns",
        "maxConcurrentConnections",
    ),
}
PARTITION_SETTINGS = _shape(
    "", "partitionColumnName partitionUpperBound partitionLowerBound partitionNames"
)
SINKS = {
    "ParquetSink": _shape("type", "storeSettings formatSettings"),
    "BinarySink": _shape("type", "storeSettings"),
    "DelimitedTextSink": _shape("type", "storeSettings formatSettings"),
    "JsonSink": _shape("type", "storeSettings formatSettings"),
}
# A format's dataset, source and sink belong together; what has no sink is only read.
FORMATS: dict[str, tuple[str, str | None]] = {
    "DelimitedText": ("DelimitedTextSource", "DelimitedTextSink"),
    "Json": ("JsonSource", "JsonSink"),
    "Parquet": ("ParquetSource", "ParquetSink"),
    "Binary": ("BinarySource", "BinarySink"),
    "AzurePostgreSqlTable": ("AzurePostgreSqlSource", None),
    "PostgreSqlV2Table": ("PostgreSqlV2Source", None),
    "AzureSqlTable": ("AzureSqlSource", None),
    "RestResource": ("RestSource", None),
}
LAKE_STORES = {"AzureBlobFS": "AzureBlobFSLocation", "AzureBlobStorage": "AzureBlobStorageLocation"}
_FILE_STORES = (*LAKE_STORES, "HttpServer")
# The linked services that a dataset goes with.
STORES = {
    "DelimitedText": _FILE_STORES,
    "Json": _FILE_STORES,
    "Parquet": _FILE_STORES,
    "Binary": _FILE_STORES,
    "AzurePostgreSqlTable": ("AzurePostgreSql",),
    "PostgreSqlV2Table": ("PostgreSqlV2",),
    "AzureSqlTable": ("AzureSqlDatabase",),
    "RestResource": ("RestService",),
}
_LAKE_READ = _shape(
    "type",
    "recursive wildcardFolderPath wildcardFileName",
    "maxConcurrentConnections",
    enablePartitionDiscovery=False,
    deleteFilesAfterCompletion=False,
)
_LAKE_WRITE = _shape("type", "", "maxConcurrentConnections blockSizeInMB copyBehavior")
SETTINGS = {
    "AzureBlobFSReadSettings": _LAKE_READ,
    "AzureBlobFSWriteSettings": _LAKE_WRITE,
    "AzureBlobStorageReadSettings": _LAKE_READ,
    "AzureBlobStorageWriteSettings": _LAKE_WRITE,
    "HttpReadSettings": _shape(
        "type",
        "requestMethod requestBody additionalHeaders requestTimeout",
        "maxConcurrentConnections",
    ),
    "DelimitedTextReadSettings": _shape("type", skipLineCount=0),
    "JsonReadSettings": _shape("type"),
    "ParquetReadSettings": _shape("type"),
    "BinaryReadSettings": _shape("type"),
    "ParquetWriteSettings": _shape("type"),
    # The extension names files of a sink that is a folder; here such a sink is a file.
    "DelimitedTextWriteSettings": _shape("type", "quoteAllText", "fileExtension"),
    # Studio writes the settings of delimited text into those of JSON, where they mean nothing.
    "JsonWriteSettings": _shape("type", "filePattern", "quoteAllText fileExtension"),
}
TRIGGERS = {
    "ScheduleTrigger": _shape("recurrence"),
    "TumblingWindowTrigger": _shape(
        "frequency interval startTime maxConcurrency", "endTime delay retryPolicy dependsOn"
    ),
    "BlobEventsTrigger": _shape(
        "events scope", "blobPathBeginsWith blobPathEndsWith ignoreEmptyBlobs"
    ),
    "CustomEventsTrigger": _shape("events scope", "subjectBeginsWith subjectEndsWith"),
}
RECURRENCE = _shape("frequency interval startTime", "endTime schedule timeZone")
RETRY_POLICY = _shape("", "count intervalInSeconds")
WINDOW_DEPENDENCIES = {
    "TumblingWindowTriggerDependencyReference": _shape("type referenceTrigger", "offset size"),
    "SelfDependencyTumblingWindowTriggerReference": _shape("type offset", "size"),
}

BLOB_EVENTS = ("Microsoft.Storage.BlobCreated", "Microsoft.Storage.BlobDeleted")
PARAMETER_TYPES = ("String", "Int", "Float", "Bool", "Array", "Object", "SecureString")
VARIABLE_TYPES = ("String", "Bool", "Boolean", "Array", "Integer")
CONDITIONS = ("Succeeded", "Failed", "Skipped", "Completed")
METADATA_FIELDS = ("exists", "itemName", "itemType", "size", "lastModified", "childItems")
MOST_PARAMETERS = 50
