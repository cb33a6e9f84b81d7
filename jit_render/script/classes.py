"""Which node classes are Nuke's own. Any other is a plug-in or a gizmo, and a gizmo may read files."""

from __future__ import annotations

import re

_PLUG_IN = re.compile(r"OFX|F_|[a-z]+\.")
_OWN = frozenset(
    """
    Add AddChannels AddMix AddTimeCode AdjBBox Anaglyph AppendClip ApplyLUT ApplyMaterial Assert AudioRead Axis
    Axis2 Axis3 Axis4 BackdropNode BasicMaterial BasicSurface Bezier Bilateral Bilateral2 BlackOutside Blend
    BlendMat BlinkScript Blocky Blur BumpBoss BumpMat BurnIn Camera Camera2 Camera3 Camera4 CameraTracker
    CameraTracker1_0 CameraTrackerPointCloud Card Card2 Card3D CCorrect ChannelMerge CheckerBoard CheckerBoard2
    ChromaKeyer Cipher Clamp ClipTest CMSTestPattern ColorBars ColorCorrect ColorLookup ColorMatrix Colorspace
    ColorTransfer ColorWheel ColourMatcher Constant ConstantShader ContactSheet Convolve Convolve2 Copy CopyBBox
    CopyCat CopyMetaData CopyRectangle CornerPin2D Crop Crosstalk Cryptomatte Cube CurveTool Cylinder DeepBoolean
    DeepColorCorrect DeepColorCorrect2 DeepCrop DeepExpression DeepFromFrames DeepFromImage DeepHoldout2 DeepMerge
    DeepMerge2 DeepOmit DeepRead DeepRecolor DeepReformat DeepSample DeepToImage DeepToImage2 DeepToPoints
    DeepTransform DeepWrite Deflicker2 Defocus Denoise Denoise2 DepthGenerator DepthToPoints DepthToPosition
    Difference Diffuse Dilate DirBlur DirBlurWrapper DirectLight DiskCache DisparityGenerator DisplaceGeo
    Displacement Dissolve Dither Dot DropShadow EdgeBlur EdgeDetect EdgeDetectWrapper EditGeo Emboss Emission
    Environ EnvironMaps Environment Erode Expression FFT Fill FillMat FillShader FilterErode FishEye Flare
    FloodFill FrameBlend FrameHold FrameRange FromDeep Gamma GenerateLUT GeoImport GeoInstance GeoMerge
    GeoReference Gizmo Glint Glow Glow2 GodRays Grade Grain Grain2 Grid GridWarp GridWarp2 GridWarp3
    GridWarpTracker Group HistEQ Histogram HSVTool HueCorrect HueKeyer HueShift IBKColour IBKColourV3 IBKGizmo
    IBKGizmoV3 IDistort Inference Inpaint2 Input InputSurface Invert InvFFT JoinViews Kaleidoscope Keyer Keylight
    Keymix Kronos Laplacian LayerContactSheet LensDistortion LensDistortion2 Light Light2 Light3 Light4 LightWrap
    LiveGroup LiveGroupInput LiveInput Log2Lin LogGeo LookupGeo MatchGrade Median Merge Merge2 MergeExpression
    MergeGeo MergeLayerShader MergeMat MinColor Mirror Mirror2 MixViews ModelBuilder ModifyMetaData ModifyRIB
    Modulate MotionBlur MotionBlur2D MotionBlur3D Multiply MultiTexture Noise NoOp NoProxy Normals NoTimeBlur
    O_Solver OCIOCDLTransform OCIOColorSpace OCIODisplay OCIOFileTransform OCIOLogConvert OCIOLookTransform
    OCIONamedTransform OFlow OFlow2 OneView Output Paint ParticleAge ParticleBounce ParticleCache
    ParticleColorByAge ParticleCurve ParticleDirection ParticleDirectionalForce ParticleDrag ParticleEmitter
    ParticleExpression ParticleFuse ParticleGravity ParticleKill ParticleLookAt ParticleMerge ParticleMotionAlign
    ParticlePointForce ParticleProjectionDisplace ParticleProjectionWarp ParticleSettings ParticleShockWave
    ParticleSpawn ParticleSpeedLimit ParticleToGeo ParticleToImage ParticleTurbulence ParticleVortex ParticleWind
    PhongShader PlanarIProjection PlanarTracker PLogLin PointCloudGenerator PointLight PointsTo3D Position
    PositionToPoints PositionToPoints2 PostageStamp Posterize Precomp Premult PreviewSurface Primatte Primatte3
    Primatte6 PrintMetaData ProcGeo Project3D Project3D2 ProjectionSolver Radial Ramp RayRender Read ReadGeo
    ReadGeo2 ReadGeo3 ReConverge Rectangle Reflection ReflectiveSurface Reformat Refraction ReLight RelightBRDF
    Remove Retime RollingShutter Root Roto RotoPaint Saturation ScanlineRender ScanlineRender2 ScannedGrain Scene
    ScreenBlend SetMat ShadowGenerator Shape ShapeBuilder Sharpen Shuffle Shuffle1 Shuffle2 ShuffleCopy
    ShuffleViews SideBySide SimpleAxis SimpleNoise SmartVector SoftClip Soften Sparkles Specular Sphere SplineWarp
    SplineWarp2 SplineWarp3 SplitAndJoin SpotLight Stabilize2D StabilizeTracker StickyNote STMap Switch
    TemporalMedian Text Text2 Texture TimeBlur TimeClip TimeDissolve TimeEcho TimeOffset TimeToDepth TimeWarp
    TMI_CornerPin ToDeep Toe2 TouchFilter Tracker Tracker3 Tracker4 Transform Transform3D TransformGeo
    TransformMasked TransmissiveSurface TriangleGeo Trilinear Truelight TVIscale TVIScale Unpremult UVEditor
    UVProject VariableGroup VariableSwitch VectorBlur VectorBlur2 VectorCornerPin VectorDistort Vectorfield
    VectorGenerator VectorToMotion Viewer ViewerCaptureOp ViewerChannelSelector ViewerClipTest ViewerDitherDisable
    ViewerGain ViewerGamma ViewerInterlacedLines ViewerLUT ViewerProcess_1DLUT ViewerProcess_None ViewerSaturation
    ViewerScopeOp ViewerWipe ViewMetaData VolumeRays Wireframe WireframeShader Write WriteGeo ZBlur ZComp ZDefocus
    ZDefocus2 ZMerge ZSlice
    """.split()  # noqa: SIM905 - four hundred quoted words would be hard to read
)


def may_be_gizmo(cls: str) -> bool:
    """Whether a class that no gizmo path has may be a gizmo all the same."""
    return cls.endswith(".gizmo") or (cls not in _OWN and _PLUG_IN.match(cls) is None)
